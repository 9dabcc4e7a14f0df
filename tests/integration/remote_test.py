# SPDX-License-Identifier: MIT
"""The line that the manual begins with, against servers on this machine that rclone serves."""

import os
import pty
import socket
import subprocess

from support import (LINE_PROXY, RCLONE, RCLONE_NEWER, RCLONE_S3, RESTIC, RESTIC_NEWER, UMOUNT_RESTIC, MountTest, main,
                     run, wait_until)

REPOSITORY = "rclone:b2prod:yggdrasil/prod-serverA"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Remote(MountTest):
    read_only = False
    rclone, restic = RCLONE, RESTIC

    def serve(self, kind, *flags, program=None):
        """Starts a server of this kind for a folder of the test; its port."""
        folder = self.work / "server"
        folder.mkdir()
        port = free_port()
        self.start(program or self.rclone, "serve", kind, folder, "--addr", f"127.0.0.1:{port}", *flags,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: answers(port), f"the {kind} server")
        return port

    def restic_command(self, *command):
        env = dict(os.environ, RCLONE_CONFIG=str(self.rclone_config))
        return run(self.restic, "-q", "-r", REPOSITORY, "-o", f"rclone.program={self.rclone}", "--no-cache",
                   "--password-file", self.password_file, *command, env=env)

    def see_a_snapshot(self):
        """Makes a repository on b2prod, and shows it; what is dragged in is there for restic."""
        source = self.work / "source"
        source.mkdir()
        content = os.urandom(3 << 20)
        (source / "file").write_bytes(content)
        self.restic_command("init")
        self.restic_command("backup", source)
        self.mount(REPOSITORY, f"rclone-program={self.rclone}")
        self.assertEqual((self.mountpoint / f"snapshots/latest{source}/file").read_bytes(), content)
        self.assertIn(REPOSITORY, run("findmnt", "-n", "-o", "SOURCE", self.mountpoint).stdout)
        run("cp", source / "file", self.mountpoint / "new")
        run("sync", self.mountpoint / "new")
        self.assertEqual((self.mountpoint / "snapshots/latest/file").read_bytes(), content)
        self.unmount()
        self.restic_command("check", "--read-data")

    def configure_webdav(self, port):
        self.rclone_config.write_text(f"[b2prod]\ntype = webdav\nurl = http://127.0.0.1:{port}\nvendor = other\n",
                                      encoding="utf-8")


class WebDav(Remote):
    def test_webdav(self):
        self.configure_webdav(self.serve("webdav"))
        self.see_a_snapshot()


class SlowLine(Remote):
    def test_unmounting_shows_its_progress_on_a_terminal(self):
        port = free_port()
        megabits = 16
        server = self.serve("webdav")
        self.start(LINE_PROXY, port, server, 25, megabits, stdout=subprocess.DEVNULL)
        wait_until(lambda: answers(port), "the line")
        self.configure_webdav(port)
        self.restic_command("init")
        self.mount(REPOSITORY, "commit-after=never")
        (self.mountpoint / "new" / "file").write_bytes(os.urandom(6 << 20))
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        child = self.start(UMOUNT_RESTIC, self.mountpoint, stdout=slave, stderr=slave)
        os.close(slave)
        seen = self.read_to_the_end(master)
        self.assertEqual(child.wait(timeout=60), 0, seen)
        self.assertRegex(seen, r"of 1 files, .* of 6.0 MiB, .* uploaded, .*/s")
        self.assertIn("1 snapshots", run(self.restic, "-r", self.work / "server/yggdrasil/prod-serverA", "--no-cache",
                                         "--password-file", self.password_file, "snapshots").stdout)

    def read_to_the_end(self, terminal):
        """What is written to a terminal until nobody has it open any more."""
        seen = b""
        try:
            while piece := os.read(terminal, 65536):
                seen += piece
        except OSError:  # the end, as a terminal tells it
            pass
        return seen.decode()


if RCLONE_S3:

    class S3(Remote):
        rclone = RCLONE_NEWER or RCLONE

        def test_s3(self):
            port = self.serve("s3", "--auth-key", "key,secret", program=RCLONE_S3)
            (self.work / "server" / "yggdrasil").mkdir()  # the bucket
            self.rclone_config.write_text(
                f"[b2prod]\ntype = s3\nprovider = Other\nendpoint = http://127.0.0.1:{port}\n"
                "access_key_id = key\nsecret_access_key = secret\n", encoding="utf-8")
            self.see_a_snapshot()

    if RESTIC_NEWER:

        class S3NewerRestic(S3):
            restic = RESTIC_NEWER


if RESTIC_NEWER:

    class NewerRestic(WebDav):
        restic = RESTIC_NEWER


if RCLONE_NEWER:

    class NewerRclone(WebDav):
        rclone = RCLONE_NEWER


if __name__ == "__main__":
    main()
