# SPDX-License-Identifier: MIT
"""The manual page and the program know the same flags and options."""

import pathlib
import re
import unittest

from support import MOUNT_RESTIC, TESTS, main, run

MANUAL = TESTS.parent / "man" / "mount.restic.8"


def section(name):
    """The lines of one section of the manual page."""
    text = MANUAL.read_text(encoding="utf-8")
    return re.split(r"^\.SH ", text.split(f".SH {name}\n", 1)[1], flags=re.M)[0].splitlines()


def tagged(lines):
    """The lines behind .TP, without macros and escapes."""
    tags = [after for line, after in zip(lines, lines[1:]) if line == ".TP"]
    return [re.sub(r"\\f.|\"", "", re.sub(r"^\.[A-Z]+ ", "", tag).replace("\\-", "-")) for tag in tags]


class Manual(unittest.TestCase):
    def setUp(self):
        self.help = run(MOUNT_RESTIC, "-h").stdout

    def test_describes_every_option_and_no_other(self):
        in_help = set(re.findall(r"^  ([a-z][a-z_-]*=?)", self.help.split("Options of -o")[1], flags=re.M))
        in_manual = {re.match(r"[a-z_-]+=?", tag).group() for tag in tagged(section("OPTIONS"))}
        self.assertEqual(in_manual, in_help)
        self.assertGreater(len(in_help), 20)

    def test_describes_every_flag_and_no_other(self):
        in_help = set(re.findall(r"(?<![\w-])-[a-zA-Z](?!\w)", self.help.split("Options of -o")[0]))
        in_manual = set(re.findall(r"(?<![\w-])-[a-zA-Z](?!\w)", "\n".join(tagged(section("FLAGS")))))
        self.assertEqual(in_manual, in_help)

    def test_describes_every_long_flag_and_no_other(self):
        in_help = set(re.findall(r"--[a-z]+", self.help.split("Options of -o")[0]))
        in_manual = set(re.findall(r"--[a-z]+", "\n".join(tagged(section("FLAGS")))))
        self.assertEqual(in_manual, in_help)
        self.assertGreater(len(in_help), 3)
        self.assertIn("unknown flag --frobnicate", run(MOUNT_RESTIC, "--frobnicate", check=False).stderr)

    def test_has_the_programs_version(self):
        self.assertIn(f'"{run(MOUNT_RESTIC, "-V").stdout.strip()}"', MANUAL.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
