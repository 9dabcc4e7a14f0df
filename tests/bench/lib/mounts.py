# SPDX-License-Identifier: MIT
"""The two programs under test, each as: mount, wait until it answers, measure, unmount."""
import os
import re
import subprocess
import tempfile
import time


class Mount:
    """A repository mounted by one of the programs. `ready` is the seconds from start to the first listing."""

    def __init__(self, tools, storage, folder, cache, extra=()):
        self.point = tempfile.mkdtemp(prefix="mnt-", dir=tools.work)
        self._log = open(os.path.join(tools.work, f"{self.program}.log"), "a", encoding="utf-8")
        environment = dict(storage.environment)
        begin = time.monotonic()
        self.process = subprocess.Popen(
            self.command(tools, storage.repository(folder), cache, extra), env=environment,
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        try:
            self._wait(begin)
        except BaseException:
            self.close()
            raise
        self.ready = time.monotonic() - begin

    def _wait(self, begin):
        device = os.stat(os.path.dirname(self.point)).st_dev
        while time.monotonic() - begin < 600:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.program} ended before it was mounted: see {self._log.name}")
            try:
                if os.stat(self.point).st_dev != device and os.listdir(os.path.join(self.point, "snapshots")):
                    return
            except OSError:
                pass
            time.sleep(0.002)
        raise RuntimeError(f"{self.program} did not answer within 600 s")

    def snapshot(self):
        return os.path.join(self.point, "snapshots", "latest")

    def peak_memory(self):
        """Bytes: VmHWM of the program itself (rclone, where there is one, is the same for both)."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1)) * 1024

    def bytes_read(self):
        """Bytes the program has read from files and pipes, /dev/fuse requests included."""
        with open(f"/proc/{self.process.pid}/io", encoding="ascii") as counters:
            return int(re.search(r"rchar: (\d+)", counters.read()).group(1))

    def close(self):
        subprocess.run(["umount", self.point], stderr=subprocess.DEVNULL, check=False)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            subprocess.run(["umount", "-l", self.point], stderr=subprocess.DEVNULL, check=False)
        os.rmdir(self.point)
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Ours(Mount):
    program = "mount.restic"

    def command(self, tools, repository, cache, extra):
        options = ",".join([f"cache-dir={cache}", f"state-dir={tools.work}/state", f"rclone-program={tools.rclone}",
                            *extra])
        return [tools.program("mount.restic"), "-f", "-o", options, repository, self.point]

    def requests(self):
        """Ranges asked of the backend so far, by `.status`."""
        with open(os.path.join(self.point, ".status"), encoding="utf-8") as status:
            found = re.search(r"requests\D+(\d+)", status.read())
        return int(found.group(1)) if found else None


class Restic(Mount):
    program = "restic"

    def command(self, tools, repository, cache, extra):
        return [tools.restic, "-r", repository, "--cache-dir", cache, "-o", f"rclone.program={tools.rclone}", "mount",
                self.point]

    def requests(self):
        return None
