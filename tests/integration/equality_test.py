# SPDX-License-Identifier: MIT
"""A mounted snapshot is the folder that was backed up: names, content, metadata."""

import os

from support import FULL, RESTIC, RESTIC_NEWER, MountTest, main
from make_source import GIB, MIB, make_source


class Equality(MountTest):
    restic = RESTIC

    def setUp(self):
        super().setUp()
        self.source = self.work / "source"
        if FULL:
            make_source(self.source, big=3 * GIB, entries=100_000)
        else:
            make_source(self.source, big=24 * MIB)

    def back_up(self, version, compression):
        repository = self.make_repository(f"v{version}-{compression}", version, self.restic)
        repository.restic("backup", "--compression", compression, self.source)
        return repository

    def compare(self, location):
        self.mount(location)
        self.assert_same_tree(self.source, f"{self.mountpoint}/snapshots/latest{self.source}")
        self.unmount()

    def compare_both_ways(self, version, compression):
        repository = self.back_up(version, compression)
        with self.subTest("local"):
            self.compare(repository.folder)
        with self.subTest("rclone"):
            self.compare(f"rclone:here:{repository.folder}")

    def test_version_1(self):
        self.compare_both_ways(1, "auto")

    def test_version_2_uncompressed(self):
        self.compare_both_ways(2, "off")

    def test_version_2_compressed(self):
        self.compare_both_ways(2, "auto")

    def test_version_2_compressed_most(self):
        self.compare_both_ways(2, "max")


if RESTIC_NEWER:

    class NewerRestic(Equality):
        """The same with repositories that a newer restic made."""

        restic = RESTIC_NEWER


class InsideAFile(MountTest):
    """Reading in pieces and at any place gives the same bytes."""

    def test_random_ranges(self):
        source = self.work / "source"
        source.mkdir()
        content = os.urandom(20 * MIB)
        (source / "file").write_bytes(content)
        repository = self.make_repository()
        repository.restic("backup", source)
        self.mount(repository.folder)
        shown = os.open(f"{self.mountpoint}/snapshots/latest{source}/file", os.O_RDONLY)
        self.addCleanup(os.close, shown)
        for step in range(200):
            offset = (step * 7_919_113) % len(content)
            size = (1, 4096, 100_000, 3 * MIB)[step % 4]
            self.assertEqual(os.pread(shown, size, offset), content[offset:offset + size])
        self.assertEqual(os.pread(shown, 10, len(content)), b"")


if __name__ == "__main__":
    main()
