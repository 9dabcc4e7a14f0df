# SPDX-License-Identifier: MIT
"""What somebody in front of a terminal sees."""

import fcntl
import os
import pty
import subprocess
import termios

from support import PASSWORD, MountTest, is_mounted, main, wait_until


class Terminal(MountTest):
    def setUp(self):
        super().setUp()
        self.repository = self.make_repository()
        self.repository.restic("backup", self.password_file)
        self.seen = ""

    def start_on_terminal(self, *flags):
        """Starts mount.restic without a password, as the leader of a terminal's session."""
        self.master, slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.addCleanup(os.close, slave)
        self.slave = slave

        def lead():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        command = [word.replace(f"password-file={self.password_file},", "") for word in
                   self.mount_command(self.repository.folder, flags=flags)]
        child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=self.environment(),
                                 preexec_fn=lead)
        self._started.append(child)
        os.set_blocking(self.master, False)
        return child

    def read_terminal(self):
        try:
            self.seen += os.read(self.master, 65536).decode()
        except (BlockingIOError, OSError):
            pass
        return self.seen

    def wait_for(self, text):
        wait_until(lambda: text in self.read_terminal(), f"{text!r} on the terminal")
        self.seen = self.seen.split(text, 1)[1]

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def answer(self, text):
        self.wait_for(f"Password for {self.repository.folder}: ")
        self.assertFalse(self.echoes())
        os.write(self.master, text.encode() + b"\n")

    def test_three_tries(self):
        for flags in ((), ("-f",)):
            with self.subTest(flags):
                child = self.start_on_terminal(*flags)
                self.answer("wrong")
                self.wait_for("Wrong password, 2 tries left.")
                self.answer("wrong again")
                self.wait_for("Wrong password, 1 try left.")
                self.answer("and again")
                self.wait_for("mount.restic: ")
                self.assertEqual(child.wait(timeout=60), 32)
                self.assertTrue(self.echoes())
                self.assertNotIn("wrong again", self.seen)
                self.assertFalse(is_mounted(self.mountpoint))

    def test_the_second_try_is_right(self):
        child = self.start_on_terminal()
        self.answer("wrong")
        self.answer(PASSWORD)
        self.assertEqual(child.wait(timeout=60), 0, self.read_terminal())
        self.assertTrue(self.echoes())
        self.assertTrue(is_mounted(self.mountpoint))

    def test_an_interrupt_at_the_question_gives_the_terminal_back(self):
        for flags in ((), ("-f",)):
            with self.subTest(flags):
                child = self.start_on_terminal(*flags)
                self.wait_for("Password for ")
                wait_until(lambda: not self.echoes(), "the echo to be off")
                os.write(self.master, b"\x03")
                self.assertEqual(child.wait(timeout=60), 32)
                self.assertTrue(self.echoes())
                wait_until(lambda: not self.daemons(), "the daemon to end")

    def test_loading_the_index_shows_progress(self):
        child = self.start_on_terminal("-f")
        self.answer(PASSWORD)
        self.wait_for("Loading the index: 1 of 1 files")
        wait_until(lambda: is_mounted(self.mountpoint), "the mount")
        child.terminate()
        self.assertEqual(child.wait(timeout=60), 0)


if __name__ == "__main__":
    main()
