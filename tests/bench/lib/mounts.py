# SPDX-License-Identifier: MIT
"""The two programs under test, each as: mount, wait until it answers, measure, unmount."""
import os
import re
import shutil
import subprocess
import tempfile
import time

from patience import kill


class NotMounted(RuntimeError):
    pass


class Mount:
    """A repository mounted by one of the programs. `ready` is the seconds from start to the first listing."""

    def __init__(self, tools, storage, folder, cache, patience):
        self._patience = patience
        # Not in the work folder: the line's server looks at all that lies in it, and would wait for the program that
        # waits for the server.
        self.point = tempfile.mkdtemp(prefix="bench-mnt-")
        # Not shared: what a killed mount leaves in it is no concern of the next.
        self.state = tempfile.mkdtemp(prefix="state-", dir=tools.work)
        self._log = open(os.path.join(tools.work, f"{self.program}.log"), "a", encoding="utf-8")
        environment = dict(storage.environment)
        begin = time.monotonic()
        self.process = subprocess.Popen(
            self.command(tools, storage.repository(folder), cache), env=environment,
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        patience.watch(self.process)
        patience.renew()
        try:
            self._wait()
        except BaseException:
            self.close()
            raise
        self.ready = time.monotonic() - begin
        patience.renew()

    def _wait(self):
        device = os.stat(os.path.dirname(self.point)).st_dev
        while True:
            if self.process.poll() is not None:
                raise NotMounted(f"{self.program} ended before it was mounted: see {self._log.name}")
            try:
                if os.stat(self.point).st_dev != device and os.listdir(os.path.join(self.point, "snapshots")):
                    return
            except OSError:
                pass
            time.sleep(0.002)

    def snapshot(self):
        return os.path.join(self.point, "snapshots", "latest")

    def peak_memory(self):
        """Bytes: VmHWM of the program itself (rclone, where there is one, is the same for both)."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            found = re.search(r"VmHWM:\s+(\d+) kB", status.read())
        if not found:
            raise RuntimeError(f"{self.program} has ended: see {self._log.name}")
        return int(found.group(1)) * 1024

    def bytes_read(self):
        """Bytes the program has read from files and pipes, /dev/fuse requests included."""
        with open(f"/proc/{self.process.pid}/io", encoding="ascii") as counters:
            return int(re.search(r"rchar: (\d+)", counters.read()).group(1))

    def close(self):
        subprocess.run(["umount", self.point], stderr=subprocess.DEVNULL, check=False)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            kill(self.process)
            self.process.wait()
        self._patience.forget(self.process)
        # A mount outlives its program when that was killed.
        subprocess.run(["umount", "-l", self.point], stderr=subprocess.DEVNULL, check=False)
        os.rmdir(self.point)
        shutil.rmtree(self.state)
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Ours(Mount):
    program = "mount.restic"

    def command(self, tools, repository, cache):
        options = f"cache-dir={cache},state-dir={self.state},rclone-program={tools.rclone}"
        return [tools.program("mount.restic"), "-f", "-o", options, repository, self.point]

    def requests(self):
        """Ranges asked of the backend so far, by `.status`."""
        with open(os.path.join(self.point, ".status"), encoding="utf-8") as status:
            found = re.search(r"requests\D+(\d+)", status.read())
        return int(found.group(1)) if found else None


class Restic(Mount):
    program = "restic"

    def command(self, tools, repository, cache):
        return [tools.restic, "-r", repository, "--cache-dir", cache, "-o", f"rclone.program={tools.rclone}", "mount",
                self.point]

    def requests(self):
        return None
