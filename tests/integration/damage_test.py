# SPDX-License-Identifier: MIT
"""Damaged repositories: the file is named, what depends on it is EIO, everything else stays readable."""

import errno
import os
import pathlib
import re
import shutil

from support import MountTest, main, run

MIB = 1 << 20


def flip(path, at=None):
    """Flips one bit, in the middle unless told where."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 0x10
    path.chmod(0o600)
    path.write_bytes(content)


def cut(path):
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)


DAMAGES = (flip, cut)


class Damage(MountTest):
    def setUp(self):
        super().setUp()
        self.log = self.work / "log"
        self.sound = self.make_repository("sound")
        self.one, self.two = self.back_up("one", "alpha"), self.back_up("two", "beta")

    def back_up(self, name, host):
        """Backs up a folder with one file of random content as a host of its own; what this added."""
        source = self.work / name
        source.mkdir()
        content = os.urandom(2 * MIB)
        (source / "file").write_bytes(content)
        before = {kind: set(self.sound.files(kind)) for kind in ("snapshots", "index", "data")}
        self.sound.restic("backup", "--host", host, source)
        added = {kind: set(self.sound.files(kind)) - known for kind, known in before.items()}
        return {"content": content, "shown": f"hosts/{host}/latest{source}/file",
                **{kind: sorted(paths, key=lambda path: path.stat().st_size) for kind, paths in added.items()}}

    def damaged(self, damage, path):
        """A copy of the repository in which one file is damaged; its folder."""
        folder = self.work / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.sound.folder, folder)
        damage(folder / path.relative_to(self.sound.folder))
        return folder

    def mount_damaged(self, damage, path):
        self.log.unlink(missing_ok=True)
        self.mount(self.damaged(damage, path), "no-cache", f"log-file={self.log}")

    def read(self, backup):
        return (self.mountpoint / backup["shown"]).read_bytes()

    def assert_io_error(self, action):
        with self.assertRaises(OSError) as caught:
            action()
        self.assertEqual(caught.exception.errno, errno.EIO)

    def assert_log_names(self, path):
        self.assertIn(path.name[:8], self.log.read_text(encoding="utf-8"))

    def assert_memory_is_bounded(self):
        daemon, = self.daemons()
        status = pathlib.Path(f"/proc/{daemon}/status").read_text(encoding="ascii")
        self.assertLess(int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)), 400 * 1024)

    def test_config_or_only_key(self):
        key, = self.sound.files("keys")
        for damage in DAMAGES:
            for path, name in ((self.sound.folder / "config", "config"), (key, key.name[:8])):
                with self.subTest(name, damage=damage.__name__):
                    self.assert_refused(self.try_mount(self.damaged(damage, path), "no-cache"), 32, name)

    def test_snapshot(self):
        for damage in DAMAGES:
            with self.subTest(damage.__name__):
                self.mount_damaged(damage, self.one["snapshots"][0])
                self.assertEqual(self.read(self.two), self.two["content"])
                self.assertEqual(len(os.listdir(self.mountpoint / "ids")), 1)
                self.assert_log_names(self.one["snapshots"][0])
                self.unmount()

    def test_index(self):
        for damage in DAMAGES:
            with self.subTest(damage.__name__):
                self.mount_damaged(damage, self.one["index"][0])
                self.assertEqual(self.read(self.two), self.two["content"])
                self.assert_io_error(lambda: self.read(self.one))
                self.assert_log_names(self.one["index"][0])
                self.unmount()

    def test_pack_of_content(self):
        pack = self.one["data"][-1]
        for damage in DAMAGES:
            with self.subTest(damage.__name__):
                self.mount_damaged(damage, pack)
                self.assertEqual(self.read(self.two), self.two["content"])
                self.assertEqual((self.mountpoint / self.one["shown"]).stat().st_size, 2 * MIB)
                self.assert_io_error(lambda: self.read(self.one))
                self.assert_log_names(pack)
                self.assert_memory_is_bounded()
                self.unmount()

    def test_pack_of_folders(self):
        pack = self.one["data"][0]
        self.mount_damaged(lambda path: flip(path, 20), pack)
        self.assertEqual(self.read(self.two), self.two["content"])
        damaged = run("find", self.mountpoint / "hosts/alpha", "-type", "f", check=False)
        self.assertIn("Input/output error", damaged.stderr)
        self.assert_log_names(pack)

    def test_pack_that_is_gone(self):
        self.mount_damaged(lambda path: path.unlink(), self.one["data"][-1])
        self.assertEqual(self.read(self.two), self.two["content"])
        self.assert_io_error(lambda: self.read(self.one))


if __name__ == "__main__":
    main()
