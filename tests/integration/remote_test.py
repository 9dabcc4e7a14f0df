# SPDX-License-Identifier: MIT
"""The line that the manual begins with, against servers on this machine that rclone serves."""

import os
import socket
import subprocess

from support import RCLONE, RCLONE_NEWER, RESTIC, RESTIC_NEWER, MountTest, main, run, wait_until

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
    rclone, restic = RCLONE, RESTIC

    def serve(self, kind, *flags):
        """Starts a server of this kind for a folder of the test; its port."""
        folder = self.work / "server"
        folder.mkdir()
        port = free_port()
        self.start(self.rclone, "serve", kind, folder, "--addr", f"127.0.0.1:{port}", *flags,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: answers(port), f"the {kind} server")
        return port

    def see_a_snapshot(self):
        """Makes a repository on b2prod, and shows it."""
        source = self.work / "source"
        source.mkdir()
        content = os.urandom(3 << 20)
        (source / "file").write_bytes(content)
        env = dict(os.environ, RCLONE_CONFIG=str(self.rclone_config))
        for command in (["init"], ["backup", source]):
            run(self.restic, "-q", "-r", REPOSITORY, "-o", f"rclone.program={self.rclone}", "--no-cache",
                "--password-file", self.password_file, *command, env=env)
        self.mount(REPOSITORY, f"rclone-program={self.rclone}")
        self.assertEqual((self.mountpoint / f"snapshots/latest{source}/file").read_bytes(), content)
        self.assertIn(REPOSITORY, run("findmnt", "-n", "-o", "SOURCE", self.mountpoint).stdout)
        self.unmount()

    def test_webdav(self):
        port = self.serve("webdav")
        self.rclone_config.write_text(f"[b2prod]\ntype = webdav\nurl = http://127.0.0.1:{port}\nvendor = other\n",
                                      encoding="utf-8")
        self.see_a_snapshot()


if RESTIC_NEWER:

    class NewerRestic(Remote):
        restic = RESTIC_NEWER


if RCLONE_NEWER:

    class NewerRclone(Remote):
        rclone = RCLONE_NEWER


if __name__ == "__main__":
    main()
