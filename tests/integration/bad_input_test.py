# SPDX-License-Identifier: MIT
"""What cannot be mounted: one clear line, the right exit code, nothing half-mounted. All of it without an environment."""

import hashlib
import json
import os
import socket

from support import MOUNT_RESTIC, PASSWORD, MountTest, main, run
from forge import master_key


class BadInput(MountTest):
    def setUp(self):
        super().setUp()
        self.repository = self.make_repository()
        self.repository.restic("backup", self.password_file)

    def refuse(self, repository, *options, code=32, says=(), **keywords):
        texts = (says,) if isinstance(says, str) else says
        self.assert_refused(self.try_mount(repository, *options, env={}, **keywords), code, *texts)

    def replace_key(self, **changes):
        """Puts a changed copy of the key file in its place, under the name its content demands."""
        path, = self.repository.files("keys")
        content = json.dumps({**json.loads(path.read_bytes()), **changes}).encode()
        path.unlink()
        changed = path.with_name(hashlib.sha256(content).hexdigest())
        changed.write_bytes(content)
        return changed

    # Password

    def test_wrong_password(self):
        self.password_file.write_text("something else", encoding="utf-8")
        for location in (self.repository.folder, f"rclone::local:{self.repository.folder}"):
            self.refuse(location, says=(f"cannot open {location}: wrong password",))

    def test_password_file_that_cannot_be_read(self):
        self.password_file.unlink()
        self.refuse(self.repository.folder, says=("password-file", str(self.password_file), "No such file"))
        self.password_file.mkdir()
        self.refuse(self.repository.folder, says=("password-file", "folder"))

    def test_empty_password_file(self):
        self.password_file.write_text("\n", encoding="utf-8")
        self.refuse(self.repository.folder, says=("password-file", "empty"))

    def test_password_command_that_fails(self):
        done = run(MOUNT_RESTIC, self.repository.folder, self.mountpoint, "-o", "password-command=false", check=False,
                   env={})
        self.assert_refused(done, 32, "password-command", "exit code 1")

    def test_no_password_and_nobody_to_ask(self):
        done = run("setsid", "-w", MOUNT_RESTIC, self.repository.folder, self.mountpoint, check=False, env={})
        self.assert_refused(done, 32, "no password", "password-file")

    # Repository

    def test_no_repository_there(self):
        empty = self.work / "empty"
        empty.mkdir()
        self.refuse(empty, says=(str(empty), "no restic repository", "-o init"))
        self.refuse(self.work / "missing", says=(str(self.work / "missing"),))
        self.refuse(f"rclone::local:{empty}", says="no restic repository")
        self.refuse(f"rclone::local:{self.work}/missing", says="no restic repository")

    def test_repository_of_a_later_version(self):
        key_file, = self.repository.files("keys")
        key = master_key(key_file.read_bytes(), PASSWORD)
        path = self.repository.folder / "config"
        config = json.loads(key.open(path.read_bytes()))
        path.chmod(0o600)
        path.write_bytes(key.seal(json.dumps({**config, "version": 3}).encode()))
        self.refuse(self.repository.folder, says="version 3")

    def test_kinds_of_repository_that_rclone_reaches(self):
        self.refuse("s3:example.org/bucket", code=1, says="rclone")

    # Key files

    def test_key_file_with_absurd_scrypt_parameters(self):
        for changes in ({"N": 1 << 30}, {"N": 3}, {"r": 1 << 20}, {"p": 1 << 30}, {"p": 0}):
            with self.subTest(changes):
                path = self.replace_key(**changes)
                self.refuse(self.repository.folder, says=path.name[:8])
                self.replace_key(N=32768, r=8, p=1)

    def test_a_damaged_key_file_beside_a_good_one(self):
        (self.repository.folder / "keys" / ("0" * 64)).write_bytes(b"not a key")
        self.mount(self.repository.folder)

    # rclone

    def test_rclone_missing(self):
        self.refuse("rclone::local:/", "rclone-program=/no/such/rclone", says="/no/such/rclone")
        self.assert_refused(self.try_mount("rclone::local:/", env={"PATH": "/nowhere"}), 32, "rclone", "rclone-program")

    def test_rclone_that_dies_at_once(self):
        program = self.work / "rclone"
        program.write_text("#!/bin/sh\necho 'the last words' >&2\nexit 3\n", encoding="utf-8")
        program.chmod(0o755)
        self.refuse("rclone:b2:x", f"rclone-program={program}", says="the last words")
        self.refuse("rclone:b2:x", "rclone-program=/bin/false", says="/bin/false ended with status 1")

    def test_unknown_remote(self):
        self.refuse("rclone:nosuchremote:x", says=("nosuchremote", "didn't find section in config file"))

    # Mountpoint

    def test_mountpoint_missing_or_no_folder(self):
        self.refuse(self.repository.folder, mountpoint=self.work / "missing", says=("does not exist", "mkdir"))
        self.refuse(self.repository.folder, mountpoint=self.password_file, says="not a folder")
        path = self.work / "socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
        self.refuse(self.repository.folder, mountpoint=path, says="not a folder")

    def test_mountpoint_that_overlaps(self):
        folder = self.repository.folder
        self.refuse(folder, mountpoint=folder, says="is the repository")
        self.refuse(folder, mountpoint=folder / "data", says="inside the repository")
        self.refuse(folder, mountpoint=self.work, says="contains the repository")
        link = self.work / "link"
        link.symlink_to(folder / "keys")
        self.refuse(folder, mountpoint=link, says="inside the repository")
        other = self.work / "cache" / "deeper"
        other.mkdir(parents=True)
        self.refuse(folder, mountpoint=other, says="inside the cache")

    def test_mountpoint_of_a_mount_that_died(self):
        self.mount(self.repository.folder)
        daemon, = self.daemons()
        os.kill(daemon, 9)
        done = self.try_mount(self.repository.folder, env={})
        self.assertEqual(done.returncode, 32)
        self.assertRegex(done.stderr, "^mount.restic: .* has died; .*fusermount3 -u .*\n$")

    # Command line

    def test_unknown_and_wrong_options(self):
        self.refuse(self.repository.folder, "pasword=x", code=1, says=("pasword",))
        self.refuse(self.repository.folder, "passwordfile=x", code=1, says=("passwordfile", "password-file"))
        self.refuse(self.repository.folder, "refresh=soon", code=1, says=("refresh", "soon", "60s"))
        self.refuse(self.repository.folder, "cache-size=1Q", code=1, says=("cache-size", "1Q", "512M"))
        self.refuse(self.repository.folder, "host", code=1, says=("host", "host=HOST"))
        self.refuse(self.repository.folder, flags=("-x",), code=1, says="-x")

    def test_nothing_to_do(self):
        self.assert_refused(run(MOUNT_RESTIC, check=False, env={}), 1, "mountpoint")
        self.assert_refused(run(MOUNT_RESTIC, self.mountpoint, check=False, env={}), 1, "RESTIC_REPOSITORY")

    def test_log_file_that_cannot_be_written(self):
        self.refuse(self.repository.folder, f"log-file={self.password_file}/log", says=f"{self.password_file}/log")


if __name__ == "__main__":
    main()
