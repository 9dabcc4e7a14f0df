# SPDX-License-Identifier: MIT
"""What is measured. Each row is a generator of (bench, program, storage) that yields {name: figure} as soon as it has
some; seconds unless named. All programs are started by the bench's patience, which ends what takes too long."""
import concurrent.futures
import contextlib
import os
import random
import shutil
import subprocess
import tempfile
import time

# Copies go to memory where there is some, so that the disk's mood is not measured.
COPY_TO = "/dev/shm" if os.path.isdir("/dev/shm") else None


def timed(bench, command):
    begin = time.monotonic()
    bench.patience.run(command, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def read(bench, path):
    return timed(bench, ["dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none"])


@contextlib.contextmanager
def copy_folder():
    folder = tempfile.mkdtemp(prefix="copy-", dir=COPY_TO)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _size(path):
    return os.stat(path).st_size


def ready(bench, program, storage):
    with bench.mount(program, storage, cold=True) as mount:
        yield {"ready": mount.ready, "ready peak": mount.peak_memory()}


def ready_many_blobs(bench, program, storage):
    folder = bench.many_blobs()
    with bench.mount(program, storage, cold=True, folder=folder) as mount:
        yield {"2M blobs cold": mount.ready, "2M blobs peak": mount.peak_memory()}
        bench.settle(mount)
    with bench.mount(program, storage, cold=False, folder=folder) as mount:
        yield {"2M blobs warm": mount.ready}


def ready_many_snapshots(bench, program, storage):
    with bench.mount(program, storage, cold=True, folder=bench.many_snapshots()) as mount:
        yield {"5000 snapshots": mount.ready, "5000 snapshots peak": mount.peak_memory()}


def walk(bench, program, storage):
    with bench.mount(program, storage, cold=True) as mount:
        find = ["find", mount.snapshot() + "/", "-ls"]
        yield {"find cold": timed(bench, find)}
        yield {"find again": timed(bench, find), "find peak": mount.peak_memory()}
        bench.settle(mount)
    with bench.mount(program, storage, cold=False) as mount:
        yield {"find warm": timed(bench, ["find", mount.snapshot() + "/", "-ls"])}


def large(bench, program, storage):
    with bench.mount(program, storage, cold=True) as mount:
        path = os.path.join(mount.snapshot(), "large", "big")
        size = _size(path)
        before = mount.bytes_read()
        yield {"1 GiB first MB/s": size / read(bench, path) / 1e6,
               "1 GiB fetched/read": (mount.bytes_read() - before) / size}
        yield {"1 GiB second MB/s": size / read(bench, path) / 1e6, "1 GiB peak": mount.peak_memory()}


def small(bench, program, storage):
    with copy_folder() as target, bench.mount(program, storage, cold=True) as mount:
        before = mount.bytes_read()
        took = timed(bench, ["cp", "-r", os.path.join(mount.snapshot(), "small"), target])
        fetched = mount.bytes_read() - before
        copied = sum(_size(os.path.join(root, name)) for root, _, names in os.walk(target) for name in names)
        yield {"cp small": took, "cp small fetched/read": fetched / copied, "cp small peak": mount.peak_memory()}


def scattered(bench, program, storage):
    rng = random.Random(3)
    with bench.mount(program, storage, cold=True) as mount:
        times = []
        with open(os.path.join(mount.snapshot(), "large", "big"), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            before = mount.bytes_read()
            for _ in range(500):
                begin = time.monotonic()
                os.pread(file.fileno(), 4096, rng.randrange(size // 4096) * 4096)
                times.append(time.monotonic() - begin)
        times.sort()
        yield {"4 KiB p50 ms": times[250] * 1e3, "4 KiB p99 ms": times[494] * 1e3,
               "4 KiB fetched MB": (mount.bytes_read() - before) / 1e6, "4 KiB peak": mount.peak_memory()}


def four_readers(bench, program, storage):
    with bench.mount(program, storage, cold=True) as mount:
        paths = [os.path.join(mount.snapshot(), "large", f"q{number}") for number in range(4)]
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as readers:
            list(readers.map(lambda path: read(bench, path), paths))  # throws what a reader does
        took = time.monotonic() - begin
        yield {"4 readers MB/s": sum(map(_size, paths)) / took / 1e6, "4 readers peak": mount.peak_memory()}


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
            yield {"drag-in": time.monotonic() - begin, "drag-in peak": used}
            return
        with bench.mount(program, storage, cold=True, folder=folder) as mount:
            tray = os.path.join(mount.point, "new")
            took = timed(bench, ["cp", "-r", *source, tray]) + timed(bench, ["sync", tray])
            yield {"drag-in": took, "drag-in peak": mount.peak_memory()}
    finally:
        shutil.rmtree(folder)


def restore(bench, program, storage):
    """`restic restore` of the small files, beside `cp -r` of them."""
    if program != "restic":
        return
    with copy_folder() as target:
        begin = time.monotonic()
        bench.patience.run([bench.tools.restic, "-q", "-r", storage.repository(bench.repository), "--cache-dir",
                            bench.cache(cold=True, program=program), "-o", f"rclone.program={bench.tools.rclone}",
                            "restore", "latest", "--include", "/small", "--target", target],
                           env=storage.environment, stdout=subprocess.DEVNULL)
        yield {"restore small": time.monotonic() - begin}


def prepare(bench, row):
    """Makes what takes long to make once, and is no part of the measurement."""
    if row == "blobs":
        bench.many_blobs()
    elif row == "snapshots":
        bench.many_snapshots()


# Figures that are the time to mount. Of the others nothing is known when the mount does not come.
MOUNTING = {"ready", "2M blobs cold", "2M blobs warm", "5000 snapshots"}

# Each with the names of its figures, in the order of the measurements.
ROWS = {
    "ready": (ready, ["ready", "ready peak"]),
    "walk": (walk, ["find cold", "find again", "find warm", "find peak"]),
    "large": (large, ["1 GiB first MB/s", "1 GiB second MB/s", "1 GiB fetched/read", "1 GiB peak"]),
    "small": (small, ["cp small", "cp small fetched/read", "cp small peak"]),
    "scattered": (scattered, ["4 KiB p50 ms", "4 KiB p99 ms", "4 KiB fetched MB", "4 KiB peak"]),
    "four-readers": (four_readers, ["4 readers MB/s", "4 readers peak"]),
    "drag-in": (drag_in, ["drag-in", "drag-in peak"]),
    "restore": (restore, ["restore small"]),
    "blobs": (ready_many_blobs, ["2M blobs cold", "2M blobs warm", "2M blobs peak"]),
    "snapshots": (ready_many_snapshots, ["5000 snapshots", "5000 snapshots peak"]),
}
