# SPDX-License-Identifier: MIT
"""Making a repository with -o init, and holding restic's lock with -o lock."""

import os
import stat

from support import RESTIC, MountTest, main, run


class Init(MountTest):
    def restic(self, folder, *args, check=True):
        return run(RESTIC, "-r", folder, "--password-file", self.password_file, "--no-cache", *args, check=check)

    def test_makes_a_local_repository_that_restic_takes_for_its_own(self):
        folder = self.work / "not" / "there" / "yet"
        self.mount(folder, "init")
        self.assertEqual(os.listdir(self.mountpoint / "snapshots"), [])
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        self.unmount()
        self.restic(folder, "backup", self.password_file)
        self.restic(folder, "check", "--read-data")
        config = self.restic(folder, "cat", "config").stdout
        self.assertIn('"version": 2', config)

    def test_makes_a_repository_through_rclone(self):
        folder = self.work / "far"
        self.mount(f"rclone:here:{folder}", "init")
        self.unmount()
        self.restic(folder, "backup", self.password_file)
        self.restic(folder, "check", "--read-data")

    def test_leaves_a_repository_alone_that_is_there(self):
        repository = self.make_repository()
        config = (repository.folder / "config").read_bytes()
        self.mount(repository.folder, "init")
        self.assertEqual((repository.folder / "config").read_bytes(), config)
        self.assertEqual(len(repository.files("keys")), 1)

    def test_refuses_where_only_the_config_is_gone(self):
        repository = self.make_repository()
        (repository.folder / "config").unlink()
        self.assert_refused(self.try_mount(repository.folder, "init"), 32, "key")
        self.assertFalse((repository.folder / "config").exists())


class HeldLock(MountTest):
    def test_the_lock_is_restics_and_goes_with_the_mount(self):
        repository = self.make_repository()
        repository.restic("backup", self.password_file)
        self.mount(repository.folder, "lock")
        self.assertEqual(len(repository.files("locks")), 1)
        self.assertNotEqual(repository.restic("prune", check=False).returncode, 0)
        self.unmount()
        self.assertEqual(repository.files("locks"), [])
        repository.restic("prune")

    def test_no_lock_is_held_otherwise(self):
        repository = self.make_repository()
        repository.restic("backup", self.password_file)
        self.mount(repository.folder)
        self.assertEqual(repository.files("locks"), [])
        repository.restic("prune")


if __name__ == "__main__":
    main()
