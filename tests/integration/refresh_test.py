# SPDX-License-Identifier: MIT
"""What others do to the repository meanwhile: a new snapshot appears, after a prune reading goes on, and no snapshot
goes with a storage that is away."""

import os
import subprocess
import time

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


class Pruned(MountTest):
    def read_on_after_a_prune(self, location, repository):
        source = self.work / "source"
        source.mkdir()
        content = {f"file{number}": os.urandom(300_000) for number in range(40)}
        for name, data in content.items():
            (source / name).write_bytes(data)
        repository.restic("backup", source)
        first, = repository.files("snapshots")
        for name in list(content)[::2]:
            (source / name).unlink()
            del content[name]
        repository.restic("backup", source)
        self.mount(location, "no-cache", "memory=16M")
        shown = self.mountpoint / f"snapshots/latest{source}"
        some = list(content)[::7]
        for name in some:  # so that rclone, which remembers files, has seen these packs
            self.assertEqual((shown / name).read_bytes(), content[name])
        before = set(repository.files("data"))
        repository.restic("forget", first.name, "--prune", "--max-unused", "0")
        self.assertTrue(before - set(repository.files("data")), "a pack was rewritten")
        for name, data in content.items():
            self.assertEqual((shown / name).read_bytes(), data, name)

    def test_local(self):
        repository = self.make_repository()
        self.read_on_after_a_prune(repository.folder, repository)

    def test_rclone(self):
        repository = self.make_repository()
        self.read_on_after_a_prune(f"rclone:here:{repository.folder}", repository)


class Away(MountTest):
    read_only = False

    def lose_sight_of_it(self, location, repository):
        """The folder is empty for a while, as that of a disk which is not mounted."""
        repository.restic("backup", self.password_file)
        self.mount(location, "refresh=1s")
        (self.mountpoint / "new" / "file").write_text("content", encoding="utf-8")
        away = repository.folder.with_name("away")
        repository.folder.rename(away)
        repository.folder.mkdir()
        with subprocess.Popen(["sync", self.mountpoint / "new"]) as syncing:
            until = time.monotonic() + 6
            while time.monotonic() < until:
                self.assertEqual(len(os.listdir(self.mountpoint / "snapshots")), 2)
                self.assertEqual(os.listdir(repository.folder), [], "nothing is stored there")
                time.sleep(0.2)
            repository.folder.rmdir()
            away.rename(repository.folder)
            self.assertEqual(syncing.wait(timeout=60), 0)
        self.assertEqual(len(repository.files("snapshots")), 2)
        wait_until(lambda: len(os.listdir(self.mountpoint / "snapshots")) == 3, "the new snapshot to appear", patience=60)

    def test_a_local_repository_that_is_away(self):
        repository = self.make_repository()
        self.lose_sight_of_it(repository.folder, repository)

    def test_a_repository_behind_rclone_that_is_away(self):
        repository = self.make_repository()
        self.lose_sight_of_it(f"rclone:here:{repository.folder}", repository)


if __name__ == "__main__":
    main()
