# SPDX-License-Identifier: MIT
"""Random operations on a file in new/, with mmap, against a plain model; and very many files in one folder."""

import os

import support


class RandomOperations(support.MountTest):
    read_only = False

    def setUp(self):
        super().setUp()
        self.repository = self.make_repository()
        self.mount(self.repository.folder, "commit-after=never")
        self.new = self.mountpoint / "new"

    def test_a_file_behaves_for_100000_operations(self):
        # Two at once in different folders, so that requests interleave.
        (self.new / "below").mkdir()
        other = self.start(support.FSX, self.new / "below" / "file", 20_000, 2)
        support.run(support.FSX, self.new / "file", 100_000, 1)
        self.assertEqual(other.wait(600), 0)
        expected = (self.new / "file").read_bytes()
        self.commit_and_unmount()
        self.repository.restic("restore", "latest", "--target", self.work / "restored")
        self.assertEqual((self.work / "restored" / "file").read_bytes(), expected)

    def test_50000_files_in_one_folder(self):
        count = 50_000 if support.FULL else 5_000
        folder = self.new / "many"
        folder.mkdir()
        for number in range(count):
            (folder / f"file {number}").write_bytes(b"%d" % number)
        self.assertEqual(len(os.listdir(folder)), count)
        for number in range(0, count, 97):
            os.rename(folder / f"file {number}", folder / f"moved {number}")
        self.commit_and_unmount()
        listed = self.repository.restic("ls", "latest", "--json").stdout.splitlines()
        self.assertEqual(sum('"type":"file"' in line for line in listed), count)
        self.repository.restic("check", "--read-data")


if __name__ == "__main__":
    support.main()
