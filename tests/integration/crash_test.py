# SPDX-License-Identifier: MIT
"""kill -9 of the program at counted system calls: the next mount makes every drop a snapshot exactly once.

strace attaches to the running mount and kills it at the n-th call of a kind that one of its threads makes. A first run
counts the calls, so that the points lie all over filling, chunking, uploading, index, snapshot and cleaning up. What
was copied and closed before the kill must be in one snapshot afterwards, whole.
"""

import collections
import os
import random
import re

from support import FULL, MountTest, is_mounted, kill, main, run, wait_until

POINTS = 200 if FULL else 10
# All that changes something outside the process, and the replies to the kernel.
CALLS = ["openat", "mkdirat", "renameat", "renameat2", "rename", "link", "linkat", "unlink", "unlinkat", "fsync",
         "fdatasync", "syncfs", "write", "writev", "pwrite64", "ftruncate"]
SMALL_FILES, LARGE_FILE = (150, 48 << 20) if FULL else (12, 4 << 20)
DROP = {f"folder/small {number}": bytes([number]) * (1000 + number) for number in range(SMALL_FILES)}
DROP["large"] = random.Random(1).randbytes(LARGE_FILE)  # several chunks that nothing makes smaller


class CutOff(MountTest):
    """A drop that is cut off, and what must be true afterwards."""

    read_only = False

    def setUp(self):
        super().setUp()
        self.repository = None
        self.new = self.mountpoint / "new"

    # A drop, cut off or not

    def mount_it(self):
        self.mount(self.repository.folder, "commit-after=never", "no-cache")

    def trace(self, pid, *options):
        with open(self.work / "strace.words", "wb") as words:
            return self.start("strace", "-f", "-p", pid, *options, stderr=words)

    def attached(self):
        return "attached" in (self.work / "strace.words").read_text()

    def attach(self, *options):
        """strace on the mount's process, with these options; returns once all threads are held."""
        pid = self.daemons()[0]
        log = self.work / "strace.log"
        log.unlink(missing_ok=True)
        tracer = self.trace(pid, "-o", log, *options)
        wait_until(self.attached, "strace to hold all threads")
        return tracer, log

    def drop(self):
        """Fills new/ and commits it; the files that were whole before something failed, and whether all went well."""
        closed = {}
        try:
            (self.new / "folder").mkdir(exist_ok=True)
            for name, content in DROP.items():
                with open(self.new / name, "wb") as file:
                    file.write(content)
                closed[name] = content
            folder = os.open(self.new, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            return closed, True
        except OSError:
            return closed, False

    def end_mount(self):
        if is_mounted(self.mountpoint):
            run("umount", "-l", self.mountpoint, check=False)
        for pid in self.daemons():
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the killed program to be gone")

    def snapshots(self):
        return self.repository.restic("list", "snapshots").stdout.split()

    def check_exactly_once(self, closed, durable, point):
        if durable:
            self.assertEqual(len(self.snapshots()), 1, point)
        self.mount_it()
        self.commit_and_unmount()
        self.assertEqual(self.repository.restic("list", "locks").stdout, "", f"{point}: a lock is left")
        self.assertLessEqual(len(self.snapshots()), 1, f"{point}: more than one snapshot")
        if closed:
            self.assertEqual(len(self.snapshots()), 1, f"{point}: no snapshot")
            target = self.work / "restored"
            run("rm", "-rf", target)
            self.repository.restic("restore", "latest", "--target", target)
            for name, content in closed.items():
                self.assertEqual((target / name).read_bytes(), content, f"{point}: {name}")
        self.repository.restic("check", "--read-data")

    def new_repository(self, number):
        self.repository = self.make_repository(f"repo{number}")


class KilledProgram(CutOff):
    def count_calls(self):
        """The largest number of calls of each kind that one thread made while a drop went through."""
        self.new_repository("counted")
        self.mount_it()
        tracer, log = self.attach("-e", "trace=" + ",".join(CALLS))
        self.assertTrue(self.drop()[1])
        self.commit_and_unmount()
        tracer.wait(60)
        counts = collections.Counter(tuple(line.split("(")[0].split()[:2]) for line in log.read_text().splitlines()
                                     if re.match(r"\d+ +\w+\(", line))
        most = collections.Counter()
        for (_, call), count in counts.items():
            most[call] = max(most[call], count)
        return most

    def test_killed_at_counted_calls(self):
        most = self.count_calls()
        points = [(call, number) for call in CALLS for number in range(1, most[call] + 1)]
        self.assertGreater(len(points), POINTS, most)
        step = len(points) / POINTS
        killed = 0
        for number in range(POINTS):
            call, nth = points[int(number * step)]
            with self.subTest(call=call, nth=nth):
                self.new_repository(number)
                self.mount_it()
                tracer, log = self.attach("-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={nth}")
                closed, durable = self.drop()
                if is_mounted(self.mountpoint):
                    self.commit_and_unmount(check=False)
                self.end_mount()
                tracer.wait(60)
                killed += "killed by SIGKILL" in log.read_text()
                self.check_exactly_once(closed, durable, (call, nth))
            run("rm", "-rf", self.repository.folder, self.work / "state")
        self.assertGreater(killed, POINTS // 2, "most points must be reached")


class KilledRclone(CutOff):
    """The same with rclone killed: the mount starts another one and goes on."""

    def test_killed_at_counted_calls(self):
        for number in range(20 if FULL else 2):
            with self.subTest(write=1 + number * 3):
                self.new_repository(number)
                self.mount(f"rclone:here:{self.repository.folder}", "commit-after=never", "no-cache")
                rclone = self.rclones()[0]
                tracer = self.trace(rclone, "-o", "/dev/null", "-e", "trace=write",
                                    "-e", f"inject=write:signal=KILL:when={1 + number * 3}")
                wait_until(self.attached, "strace to attach")
                closed, _ = self.drop()
                self.assertEqual(closed, DROP)
                self.commit_and_unmount()
                kill(tracer.pid)
                tracer.wait(60)
                self.check_exactly_once(closed, True, number)
            run("rm", "-rf", self.repository.folder, self.work / "state")


if __name__ == "__main__":
    main()
