# SPDX-License-Identifier: MIT
"""The rclone behind a mount: one process, no port, restarted when it dies, gone when we are."""

import os
import pathlib

from support import FULL, MountTest, kill, main, run, wait_until
from make_source import GIB, MIB

LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}  # the kernel's state numbers


def listening_inodes():
    inodes = set()
    for table, state in LISTENING.items():
        for line in pathlib.Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == state:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes


def open_things(pid):
    folder = pathlib.Path(f"/proc/{pid}/fd")
    return {os.readlink(folder / name) for name in os.listdir(folder)}


class RcloneProcess(MountTest):
    def setUp(self):
        super().setUp()
        self.source = self.work / "source"
        self.source.mkdir()
        size = GIB if FULL else 96 * MIB
        with open(self.source / "file", "wb") as out:
            for _ in range(size // MIB):
                out.write(os.urandom(MIB))
        self.repository = self.make_repository()
        self.repository.restic("backup", self.source)
        self.mount(f"rclone:here:{self.repository.folder}", "no-cache", "memory=16M")
        self.shown = f"{self.mountpoint}/snapshots/latest{self.source}/file"

    def test_one_child_and_no_open_port(self):
        daemon, = self.daemons()
        rclone, = self.rclones()
        children = pathlib.Path(f"/proc/{daemon}/task").glob("*/children")
        self.assertEqual("".join(path.read_text() for path in children).split(), [str(rclone)])
        for pid in (daemon, rclone):
            self.assertEqual(open_things(pid) & listening_inodes(), set())

    def test_rclone_ends_with_the_mount(self):
        rclone, = self.rclones()
        self.unmount()
        wait_until(lambda: not os.path.exists(f"/proc/{rclone}"), "rclone to end", patience=5)

    def test_rclone_killed_in_the_middle_of_a_copy(self):
        killed = None
        with open(self.source / "file", "rb") as original, open(self.shown, "rb", buffering=0) as copy:
            size = os.fstat(original.fileno()).st_size
            for offset in range(0, size, MIB):
                if offset == size // 4 // MIB * MIB:
                    killed, = self.rclones()
                    kill(killed)
                self.assertEqual(os.pread(copy.fileno(), MIB, offset), original.read(MIB), f"at {offset}")
        again, = self.rclones()
        self.assertNotEqual(again, killed)

    def test_rclone_killed_while_nobody_reads(self):
        killed, = self.rclones()
        kill(killed)
        run("cmp", self.source / "file", self.shown)

    def test_no_rclone_outlives_us(self):
        daemon, = self.daemons()
        rclone, = self.rclones()
        kill(daemon)
        wait_until(lambda: not os.path.exists(f"/proc/{rclone}"), "rclone to end", patience=5)


if __name__ == "__main__":
    main()
