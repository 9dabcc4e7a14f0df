# SPDX-License-Identifier: MIT
"""What is copied into new/ becomes a snapshot: restic finds nothing wrong with it and gives it back unchanged."""

import json
import mmap
import os
import signal
import subprocess
import threading
import time

from support import FULL, UMOUNT_RESTIC, MountTest, is_mounted, kill, main, run, wait_until
from make_source import GIB, MIB, make_source


class DragIn(MountTest):
    read_only = False

    def setUp(self):
        super().setUp()
        self.new = self.mountpoint / "new"

    def make_source(self):
        source = self.work / "source"
        if FULL:
            make_source(source, big=3 * GIB, entries=100_000)
        else:
            make_source(source, big=12 * MIB, entries=200)
        return source

    def sync(self):
        run("sync", self.new)

    def snapshots(self):
        return json.loads(self.repository.restic("snapshots", "--json").stdout or "[]")

    def drops(self):
        """The drops in .status, each a dict of its lines."""
        text = (self.mountpoint / ".status").read_text(encoding="utf-8")
        groups = [dict(line.split(": ", 1) for line in group.splitlines()) for group in text.split("\n\n")]
        return [group for group in groups if "drop" in group]

    def assert_restored(self, source):
        """restic is content with the repository and gives the newest snapshot back as it was copied in."""
        self.repository.restic("check", "--read-data")
        target = self.work / "restored"
        self.repository.restic("restore", "latest", "--target", target)
        changes = run("rsync", "-aHAXn", "--delete", "-i", "--exclude=special/socket", f"{source}/",
                      f"{target / source.name}/")
        self.assertEqual(changes.stdout, "")

    def assert_nothing_new(self, source):
        """restic's own backup of the same files finds every byte of them in the repository."""
        summary = json.loads(self.repository.restic("backup", "--json", source).stdout.splitlines()[-1])
        self.assertEqual(summary["data_blobs"], 0, summary)


class Copies(DragIn):
    def copy_and_commit(self, version, location, copy):
        self.repository = self.make_repository(version=version)
        source = self.make_source()
        self.mount(location.format(self.repository.folder), "commit-after=never")
        copy(source)
        self.sync()
        self.assertEqual(os.listdir(self.new), [])
        self.assertEqual(len(self.snapshots()), 1)
        self.assertEqual(len(os.listdir(self.mountpoint / "snapshots")), 2, "it shows at once, and latest")
        self.commit_and_unmount()
        self.assert_restored(source)
        self.assert_nothing_new(source)
        self.assertEqual(self.repository.restic("list", "locks").stdout, "")

    def cp(self, source):
        run("cp", "-a", source, self.new)

    def test_cp_into_version_2(self):
        self.copy_and_commit(2, "{}", self.cp)

    def test_cp_into_version_1(self):
        self.copy_and_commit(1, "{}", self.cp)

    def test_cp_through_rclone(self):
        self.copy_and_commit(2, "rclone:here:{}", self.cp)

    def test_rsync(self):
        self.copy_and_commit(2, "{}", lambda source: run("rsync", "-aHAX", source, self.new))

    def test_tar(self):
        def unpack(source):
            packer = subprocess.Popen(["tar", "-C", source.parent, "--warning=no-file-ignored", "--xattrs", "--xattrs-include=*", "--acls", "-c",
                                       source.name], stdout=subprocess.PIPE)
            run("tar", "-C", self.new, "--xattrs", "--xattrs-include=*", "--acls", "-xp", stdin=packer.stdout)
            packer.stdout.close()
            # A socket cannot be packed, of which tar warns.
            self.assertIn(packer.wait(), (0, 1))

        self.copy_and_commit(2, "{}", unpack)

    def test_like_a_file_manager(self):
        def copy(source):
            run("cp", "-a", source, self.new / ".part")
            os.rename(self.new / ".part", self.new / source.name)

        self.copy_and_commit(2, "{}", copy)


class SlowStorage(DragIn):
    """Packs wait for it on the local disk, and are sent again from there when rclone dies."""

    def waiting_packs(self):
        (daemon,) = self.daemons()
        links = []
        for number in os.listdir(f"/proc/{daemon}/fd"):
            try:
                links.append(os.readlink(f"/proc/{daemon}/fd/{number}"))
            except FileNotFoundError:
                pass  # closed meanwhile
        return [link for link in links if link.startswith(f"{self.work / 'state'}/") and "/#" in link]

    def test_nothing_is_lost_on_the_way(self):
        self.repository = self.make_repository()
        self.mount(f"rclone:here:{self.repository.folder}", "commit-after=never",
                   "rclone-args=serve restic --stdio --b2-hard-delete --bwlimit 20M")
        source = self.work / "source"
        source.mkdir()
        (source / "file").write_bytes(os.urandom(180 * MIB))
        run("cp", "-a", source, self.new)
        wait_until(lambda: len(self.waiting_packs()) >= 3, "packs to wait on the disk")
        (rclone,) = self.rclones()
        kill(rclone)
        self.sync()
        self.assertEqual(self.waiting_packs(), [])
        self.commit_and_unmount()
        self.assert_restored(source)
        self.assert_nothing_new(source)


class Growing(DragIn):
    """Large files are stored while they are being written."""

    def setUp(self):
        super().setUp()
        self.repository = self.make_repository()
        self.mount(self.repository.folder, "commit-after=never")
        self.source = self.work / "source"
        self.source.mkdir()
        self.content = bytearray(os.urandom(MIB)) * 100
        for piece in range(100):  # no two equal
            self.content[piece * MIB:piece * MIB + 8] = piece.to_bytes(8, "big")

    def stored_bytes(self):
        packs = (self.repository.folder / "data").glob("*/*")
        return sum(pack.stat().st_size for pack in packs if len(pack.name) == 64)  # not one half written

    def wait_for_upload(self):
        wait_until(lambda: self.stored_bytes() > 16 * MIB, "a pack of a file that is still open")

    def write(self, file, begin, end):
        for offset in range(begin, end, MIB):
            os.pwrite(file, self.content[offset:offset + MIB], offset)

    def finish(self):
        (self.source / "file").write_bytes(self.content)
        run("touch", "-r", self.new / self.source.name / "file", self.source / "file")
        run("touch", "-r", self.new / self.source.name, self.source)
        self.sync()
        self.commit_and_unmount()
        self.assert_restored(self.source)
        self.assert_nothing_new(self.source)

    def open_large(self):
        folder = self.new / self.source.name
        folder.mkdir(mode=self.source.stat().st_mode & 0o777)
        return os.open(folder / "file", os.O_RDWR | os.O_CREAT, 0o644)

    def test_the_upload_begins_before_the_file_is_closed(self):
        file = self.open_large()
        self.write(file, 0, 80 * MIB)
        self.wait_for_upload()
        self.write(file, 80 * MIB, 100 * MIB)
        os.close(file)
        self.finish()

    def test_what_is_written_over_afterwards_is_in_the_snapshot(self):
        file = self.open_large()
        self.write(file, 0, 80 * MIB)
        self.wait_for_upload()
        self.content[3 * MIB:3 * MIB + 7] = b"changed"
        os.pwrite(file, b"changed", 3 * MIB)
        self.write(file, 80 * MIB, 100 * MIB)
        os.close(file)
        self.finish()

    def test_a_mapping_is_a_writer_too(self):
        file = self.open_large()
        self.write(file, 0, 80 * MIB)
        self.wait_for_upload()
        with mmap.mmap(file, 80 * MIB) as mapping:
            mapping[5 * MIB:5 * MIB + 6] = b"mapped"
        self.content[5 * MIB:5 * MIB + 6] = b"mapped"
        self.write(file, 80 * MIB, 100 * MIB)
        os.close(file)
        self.finish()

    def test_a_file_that_is_cut_and_written_again(self):
        file = self.open_large()
        self.write(file, 0, 80 * MIB)
        self.wait_for_upload()
        os.ftruncate(file, 10 * MIB)
        self.content[10 * MIB:12 * MIB] = os.urandom(2 * MIB)
        self.write(file, 10 * MIB, 100 * MIB)
        os.close(file)
        self.finish()


class Commits(DragIn):
    def setUp(self):
        super().setUp()
        self.repository = self.make_repository()

    def test_quiet_makes_one_snapshot_of_files_written_with_pauses(self):
        self.mount(self.repository.folder, "commit-after=3s")
        for number in range(3):
            (self.new / f"file {number}").write_text("content", encoding="utf-8")
            time.sleep(2)
        wait_until(self.snapshots, "the drop to become a snapshot")
        self.commit_and_unmount()
        self.assertEqual([snapshot["paths"] for snapshot in self.snapshots()],
                         [["/file 0", "/file 1", "/file 2"]])

    def test_an_open_file_holds_quiet_back_and_never_means_never(self):
        self.mount(self.repository.folder, "commit-after=1s")
        with open(self.new / "file", "w", encoding="utf-8") as file:
            file.write("half")
            file.flush()
            time.sleep(3)
            self.assertEqual(self.snapshots(), [])
        wait_until(self.snapshots, "the drop to become a snapshot")
        self.commit_and_unmount()
        self.mount(self.repository.folder, "commit-after=never")
        (self.new / "other").write_text("content", encoding="utf-8")
        time.sleep(3)
        self.assertEqual(len(self.snapshots()), 1)

    def test_unmounting_returns_when_the_snapshot_is_there(self):
        self.mount(self.repository.folder, "commit-after=never")
        (self.new / "file").write_text("content", encoding="utf-8")
        self.commit_and_unmount()
        self.assertEqual(len(self.snapshots()), 1)
        self.assertEqual(self.daemons(), [])

    def test_an_unreachable_repository_fails_the_unmount_and_the_next_mount_resumes(self):
        self.mount(self.repository.folder, "commit-after=never")
        (self.new / "file").write_text("content", encoding="utf-8")
        away = self.work / "away"
        os.rename(self.repository.folder, away)
        done = run(UMOUNT_RESTIC, "--timeout=2s", self.mountpoint, check=False)
        self.assertEqual(done.returncode, 32)
        self.assertIn("kept for the next mount", done.stderr)
        self.assertFalse(is_mounted(self.mountpoint))
        wait_until(lambda: not self.daemons(), "mount.restic to end", patience=120)
        os.rename(away, self.repository.folder)
        self.mount(self.repository.folder, "commit-after=never")
        wait_until(self.snapshots, "the drop to become a snapshot")
        self.commit_and_unmount()
        self.assertEqual([snapshot["paths"] for snapshot in self.snapshots()], [["/file"]])

    def commits_all_but_what_is_being_written(self, end):
        self.mount(self.repository.folder, "commit-after=never")
        (self.new / "file").write_text("content", encoding="utf-8")
        with open(self.new / "half", "wb", buffering=0) as half:
            half.write(b"the first half")
            end()
            wait_until(lambda: not self.daemons(), "mount.restic to end")
        self.assertEqual([snapshot["paths"] for snapshot in self.snapshots()], [["/file"]])
        run("umount", "-l", self.mountpoint, check=False)  # what the open file has kept of it
        self.mount(self.repository.folder, "commit-after=never")
        self.assertEqual((self.new / "half").read_bytes(), b"the first half", "it is not part of the drop")
        self.assertNotIn("may be incomplete", (self.mountpoint / ".status").read_text())

    def test_a_signal_commits_and_ends(self):
        self.commits_all_but_what_is_being_written(lambda: os.kill(self.daemons()[0], signal.SIGTERM))

    def test_who_cuts_it_off_has_it_commit_and_end(self):
        self.commits_all_but_what_is_being_written(lambda: run("umount", "-i", "-f", self.mountpoint, check=False))

    def test_host_and_tags_come_from_options_and_from_new_itself(self):
        self.mount(self.repository.folder, "commit-after=never", "commit-host=by-option", "commit-tag=one")
        (self.new / "first").write_text("1", encoding="utf-8")
        self.sync()
        os.setxattr(self.new, "user.restic.host", b"by-xattr")
        os.setxattr(self.new, "user.restic.tags", b"two,three")
        (self.new / "second").write_text("2", encoding="utf-8")
        self.sync()
        first, second = self.snapshots()
        self.assertEqual((first["hostname"], first["tags"]), ("by-option", ["one"]))
        self.assertEqual((second["hostname"], second["tags"]), ("by-xattr", ["two", "three"]))
        self.assertTrue((self.mountpoint / "tags" / "two" / "latest" / "second").exists())

    def test_status_tells_what_became_of_a_drop(self):
        self.mount(self.repository.folder, "commit-after=never")
        (self.new / "file").write_bytes(b"x" * 100_000)
        self.sync()
        (drop,) = self.drops()
        self.assertEqual(drop["state"], "durable")
        self.assertEqual(drop["snapshot"], self.snapshots()[0]["id"])
        self.assertEqual(drop["files"], "1 of 1")

    def stopped_while_holding_a_lock(self):
        """A restic check, which holds an exclusive lock while it runs, stopped in the middle."""

        def locks():
            return [path for path in self.repository.files("locks") if len(path.name) == 64]  # not one half written

        def attempt():
            checker = self.start("restic", "-r", self.repository.folder, "--password-file", self.password_file, "check",
                                 "--no-cache", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(lambda: locks() or checker.poll() is not None, "restic to lock")
            checker.send_signal(signal.SIGSTOP)
            held = locks() and checker.poll() is None
            return checker if held else checker.send_signal(signal.SIGCONT)

        return wait_until(attempt, "restic to be stopped in time")

    def test_a_foreign_exclusive_lock_is_waited_for(self):
        self.mount(self.repository.folder, "commit-after=never")
        (self.new / "file").write_text("content", encoding="utf-8")
        checker = self.stopped_while_holding_a_lock()
        done = run("sync", self.new, check=False)
        self.assertNotEqual(done.returncode, 0)
        (drop,) = self.drops()
        self.assertIn(str(checker.pid), drop["error"])
        self.assertEqual(len(self.repository.files("locks")), 1, "nobody's lock was removed but our own")
        checker.send_signal(signal.SIGCONT)
        self.assertEqual(checker.wait(60), 0)
        self.sync()
        self.assertEqual(len(self.snapshots()), 1)

    def test_a_full_staging_disk_is_told_to_the_writer(self):
        state = self.work / "small"
        state.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", state)
        self.mount(self.repository.folder, "commit-after=never", f"state-dir={state}")
        with self.assertRaisesRegex(OSError, "No space left"):
            (self.new / "large").write_bytes(b"x" * (8 << 20))
        os.unlink(self.new / "large")
        (self.new / "small").write_text("fits", encoding="utf-8")
        self.commit_and_unmount()
        self.assertEqual([snapshot["paths"] for snapshot in self.snapshots()], [["/small"]])

    def test_four_mounts_and_restic_write_at_once(self):
        size = (200 if FULL else 4) << 20
        places = []
        for number in range(4):
            place = self.work / f"mnt{number}"
            place.mkdir()
            self.mount(self.repository.folder, "commit-after=never", f"state-dir={self.work / f'state{number}'}",
                       mountpoint=place)
            places.append(place)

        def drop(place):
            (place / "new" / place.name).write_bytes(os.urandom(size))
            run("sync", place / "new")

        threads = [threading.Thread(target=drop, args=(place,)) for place in places]
        for thread in threads:
            thread.start()
        source = self.work / "by restic"
        source.write_bytes(os.urandom(size))
        self.repository.restic("backup", source)
        for thread in threads:
            thread.join()
        for place in places:
            self.commit_and_unmount(place)
        self.assertEqual(len(self.snapshots()), 5)
        self.repository.restic("check", "--read-data")


if __name__ == "__main__":
    main()
