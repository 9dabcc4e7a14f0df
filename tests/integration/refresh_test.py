# SPDX-License-Identifier: MIT
"""A snapshot made elsewhere appears in a mount that is already there."""

import os

from support import MountTest, main, wait_until


class Refresh(MountTest):
    def see_a_new_snapshot(self, location, repository):
        source = self.work / "source"
        source.mkdir(exist_ok=True)
        (source / "file").write_text("before", encoding="utf-8")
        repository.restic("backup", "--time", "2024-01-01 00:00:00", source)
        self.mount(location, "refresh=1s")
        snapshots = self.mountpoint / "snapshots"
        self.assertEqual(len(os.listdir(snapshots)), 2)
        self.assertEqual((snapshots / f"latest{source}" / "file").read_text(), "before")

        (source / "file").write_text("and after", encoding="utf-8")
        (source / "another").write_text("content that no index knew", encoding="utf-8")
        repository.restic("backup", source)
        wait_until(lambda: len(os.listdir(snapshots)) == 3, "the new snapshot to appear", patience=10)
        wait_until(lambda: (snapshots / f"latest{source}" / "file").read_text() == "and after", "latest to move")
        self.assertEqual((snapshots / f"latest{source}" / "another").read_text(), "content that no index knew")

        repository.restic("forget", "latest")
        wait_until(lambda: len(os.listdir(snapshots)) == 2, "the forgotten snapshot to go", patience=10)
        self.assertEqual((snapshots / f"latest{source}" / "file").read_text(), "before")

    def test_local(self):
        repository = self.make_repository()
        self.see_a_new_snapshot(repository.folder, repository)

    def test_rclone(self):
        repository = self.make_repository()
        self.see_a_new_snapshot(f"rclone:here:{repository.folder}", repository)

    def test_an_empty_repository(self):
        repository = self.make_repository()
        self.mount(repository.folder, "refresh=1s")
        self.assertEqual(os.listdir(self.mountpoint / "snapshots"), [])
        repository.restic("backup", self.password_file)
        wait_until(lambda: len(os.listdir(self.mountpoint / "snapshots")) == 2, "the first snapshot", patience=10)


if __name__ == "__main__":
    main()
