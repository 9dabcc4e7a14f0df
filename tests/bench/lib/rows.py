# SPDX-License-Identifier: MIT
"""What is measured. Each row is a function of (bench, program, storage) -> {column: number}; seconds unless named."""
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time

# Copies go to memory where there is some, so that the disk's mood is not measured.
COPY_TO = "/dev/shm" if os.path.isdir("/dev/shm") else None


def _timed(command):
    begin = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def _read(path):
    return _timed(["dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none"])


def _size(path):
    return os.stat(path).st_size


def ready(bench, program, storage):
    with bench.mount(program, storage, cold=True) as mount:
        return {"ready": mount.ready, "ready peak": mount.peak_memory()}


def ready_many_blobs(bench, program, storage):
    folder = bench.many_blobs()
    with bench.mount(program, storage, cold=True, folder=folder) as mount:
        result = {"2M blobs cold": mount.ready, "2M blobs peak": mount.peak_memory()}
        bench.settle(mount)
    with bench.mount(program, storage, cold=False, folder=folder) as mount:
        result["2M blobs warm"] = mount.ready
    return result


def ready_many_snapshots(bench, program, storage):
    with bench.mount(program, storage, cold=True, folder=bench.many_snapshots()) as mount:
        return {"5000 snapshots": mount.ready, "5000 snapshots peak": mount.peak_memory()}


def walk(bench, program, storage):
    with bench.mount(program, storage, cold=True) as mount:
        result = {"find cold": _timed(["find", mount.snapshot() + "/", "-ls"])}
        result["find again"] = _timed(["find", mount.snapshot() + "/", "-ls"])
        result["find peak"] = mount.peak_memory()
        bench.settle(mount)
    with bench.mount(program, storage, cold=False) as mount:
        result["find warm"] = _timed(["find", mount.snapshot() + "/", "-ls"])
    return result


def large(bench, program, storage):
    with bench.mount(program, storage, cold=True) as mount:
        path = os.path.join(mount.snapshot(), "large", "big")
        size = _size(path)
        before = mount.bytes_read()
        first = _read(path)
        fetched = mount.bytes_read() - before
        second = _read(path)
        return {"1 GiB first MB/s": size / first / 1e6, "1 GiB second MB/s": size / second / 1e6,
                "1 GiB fetched/read": fetched / size, "1 GiB peak": mount.peak_memory()}


def small(bench, program, storage):
    target = tempfile.mkdtemp(prefix="copy-", dir=COPY_TO)
    try:
        with bench.mount(program, storage, cold=True) as mount:
            before = mount.bytes_read()
            took = _timed(["cp", "-r", os.path.join(mount.snapshot(), "small"), target])
            fetched = mount.bytes_read() - before
            copied = sum(_size(os.path.join(root, name)) for root, _, names in os.walk(target) for name in names)
            return {"cp small": took, "cp small fetched/read": fetched / copied,
                    "cp small peak": mount.peak_memory()}
    finally:
        shutil.rmtree(target)


def scattered(bench, program, storage):
    rng = random.Random(3)
    with bench.mount(program, storage, cold=True) as mount:
        file = os.open(os.path.join(mount.snapshot(), "large", "big"), os.O_RDONLY)
        size = os.fstat(file).st_size
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
        before = mount.bytes_read()
        times = []
        for _ in range(500):
            begin = time.monotonic()
            os.pread(file, 4096, rng.randrange(size // 4096) * 4096)
            times.append(time.monotonic() - begin)
        os.close(file)
        times.sort()
        return {"4 KiB p50 ms": times[250] * 1e3, "4 KiB p99 ms": times[494] * 1e3,
                "4 KiB fetched MB": (mount.bytes_read() - before) / 1e6, "4 KiB peak": mount.peak_memory()}


def four_readers(bench, program, storage):
    with bench.mount(program, storage, cold=True) as mount:
        paths = [os.path.join(mount.snapshot(), "large", f"q{number}") for number in range(4)]
        threads = [threading.Thread(target=_read, args=(path,)) for path in paths]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - begin
        return {"4 readers MB/s": sum(map(_size, paths)) / took / 1e6, "4 readers peak": mount.peak_memory()}


def drag_in(bench, program, storage):
    """cp -r + sync into `new/` against `restic backup` of the same folder, each into an empty repository."""
    folder = bench.empty_repository()
    source = [os.path.join(bench.source, "large", "big"), os.path.join(bench.source, "small")]
    try:
        if program == "restic":
            begin = time.monotonic()
            used = bench.peak_of([bench.tools.restic, "-q", "-r", storage.repository(folder), "--cache-dir",
                                  bench.cache(cold=True, program=program), "-o",
                                  f"rclone.program={bench.tools.rclone}", "backup", *source], storage.environment)
            return {"drag-in": time.monotonic() - begin, "drag-in peak": used}
        with bench.mount(program, storage, cold=True, folder=folder) as mount:
            tray = os.path.join(mount.point, "new")
            begin = time.monotonic()
            subprocess.run(["cp", "-r", *source, tray], check=True)
            subprocess.run(["sync", tray], check=True)
            return {"drag-in": time.monotonic() - begin, "drag-in peak": mount.peak_memory()}
    finally:
        shutil.rmtree(folder)


def restore(bench, program, storage):
    """`restic restore` of the small files, beside `cp -r` of them."""
    if program != "restic":
        return {}
    target = tempfile.mkdtemp(prefix="restore-", dir=COPY_TO)
    try:
        begin = time.monotonic()
        subprocess.run([bench.tools.restic, "-q", "-r", storage.repository(bench.repository), "--cache-dir",
                        bench.cache(cold=True, program=program), "-o", f"rclone.program={bench.tools.rclone}",
                        "restore", "latest", "--include", "/small", "--target", target],
                       check=True, env=storage.environment, stdout=subprocess.DEVNULL)
        return {"restore small": time.monotonic() - begin}
    finally:
        shutil.rmtree(target)


ROWS = {"ready": ready, "walk": walk, "large": large, "small": small, "scattered": scattered,
        "four-readers": four_readers, "drag-in": drag_in, "restore": restore, "blobs": ready_many_blobs,
        "snapshots": ready_many_snapshots}
