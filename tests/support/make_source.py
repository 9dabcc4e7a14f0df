#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a folder with everything that a backup has to bring back unchanged.

    make_source.py FOLDER [--big BYTES] [--entries N] [--levels N] [--seed N]

Needs root for devices and foreign owners, and a file system with extended attributes and ACLs. The same arguments give
the same content. FOLDER must not exist.
"""

import argparse
import os
import random
import socket
import stat
import struct
import subprocess

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

NAMES = [
    b"plain", b"with space", b" leading and trailing ", b"-dash", b"~tilde", b"...", b"#hash", b"*star?",
    b"new\nline", b"tab\tbell\a", b"esc\x1b[31m", b"del\x7f", b'double"quote', b"single'quote", b"back\\slash",
    b"\\x41", b"lt<gt>amp&", b"percent%s%n", b"latin1 \xe4\xf6\xfc", b"\xff\xfe", b"\xed\xa0\x80 surrogate",
    b"\xc0\xaf overlong", b"cut short \xe2\x82", "umlaut \u00e4".encode(), "combining a\u0308".encode(),
    "line\u2028separator".encode(), "paragraph\u2029separator".encode(), "nbsp\u00a0".encode(), "bom\ufeff".encode(),
    "rtl \u202e".encode(), "emoji \U0001f600 \U0001fae0 \U0001fae8".encode(), "replacement \ufffd".encode(),
    "\u65e5\u672c\u8a9e".encode(), b"n" * 255, b"\xe4" * 255, "\u00e4".encode() * 127,
]

TIMES = [  # nanoseconds since 1970
    -1, 0, 1, -2_000_000_000_123_456_789, 4_000_000_000_987_654_321, 2**31 * 10**9, 1_700_000_000_100_000_000,
]


class Maker:
    def __init__(self, folder, big, entries, levels, seed):
        self.top = os.fsencode(folder)
        self.big, self.entries, self.levels = big, entries, levels
        self.random = random.Random(seed)

    def path(self, *parts):
        return os.path.join(self.top, *[os.fsencode(part) for part in parts])

    def folder(self, *parts):
        os.makedirs(self.path(*parts), exist_ok=True)
        return parts

    def file(self, *parts, content=b"", mode=0o644):
        with open(self.path(*parts), "wb") as out:
            out.write(content)
        os.chmod(self.path(*parts), mode)

    def names(self):
        at = self.folder("names")
        for name in NAMES:
            self.file(*at, name, content=b"content of " + name)
        for name in NAMES[:6]:
            self.folder("names of folders", name)

    def sizes(self):
        at = self.folder("sizes")
        for name, size in (("empty", 0), ("one byte", 1), ("512K-1", 512 * KIB - 1), ("512K", 512 * KIB),
                           ("8M", 8 * MIB), ("8M+1", 8 * MIB + 1)):
            self.file(*at, name, content=self.random.randbytes(size))
        self.file(*at, "zeros", content=bytes(5 * MIB))
        self.file(*at, "text", content=b"The same line again and again.\n" * 100_000)
        self.folder("empty folder")
        with open(self.path(*at, "sparse"), "wb") as out:
            out.seek(12 * MIB)
            out.write(b"in the middle")
            out.truncate(20 * MIB)
        with open(self.path(*at, "big"), "wb") as out:
            for start in range(0, self.big, max(self.big // 24, MIB)):
                out.seek(start)
                out.write(self.random.randbytes(min(MIB, self.big - start)))
            out.truncate(self.big)

    def links(self):
        at = self.folder("links")
        self.folder(*at, "deeper")
        self.file(*at, "one of three", content=b"linked")
        os.link(self.path(*at, "one of three"), self.path(*at, "two of three"))
        os.link(self.path(*at, "one of three"), self.path(*at, "deeper", "three of three"))
        for name, target in (("to a file", "one of three"), ("dangling", "nowhere/at all"), ("to itself", "to itself"),
                             ("absolute", "/etc/passwd"), ("long", "x" * 4095), ("up", "../.."),
                             ("odd", "a\nb\"c\\d<e>&f \u2028"), ("to a folder", "deeper")):
            os.symlink(target, self.path(*at, name))

    def specials(self):
        at = self.folder("special")
        os.mkfifo(self.path(*at, "fifo"), 0o640)
        os.mknod(self.path(*at, "character device"), stat.S_IFCHR | 0o644, os.makedev(1, 3))
        os.mknod(self.path(*at, "block device"), stat.S_IFBLK | 0o660, os.makedev(259, 65537))
        here = os.getcwd()
        os.chdir(self.path(*at))  # a socket's path has to be short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
        os.chdir(here)

    def modes(self):
        at = self.folder("modes")
        for mode in (0o000, 0o400, 0o755, 0o4755, 0o2755, 0o1644, 0o7777):
            self.file(*at, f"file {mode:o}", content=b"x", mode=mode)
            self.folder(*at, f"folder {mode:o}")
            os.chmod(self.path(*at, f"folder {mode:o}"), mode)
        self.file(*at, "somebody's", content=b"x")
        os.chown(self.path(*at, "somebody's"), 1234, 5678)
        self.file(*at, "a large owner's", content=b"x")
        os.chown(self.path(*at, "a large owner's"), 4_000_000_000, 4_000_000_001)

    def attributes(self):
        at = self.folder("attributes")
        self.file(*at, "file", content=b"x")
        self.folder(*at, "folder")
        for name in ("file", "folder"):
            path = self.path(*at, name)
            os.setxattr(path, "user.text", b"value")
            os.setxattr(path, "user.empty", b"")
            os.setxattr(path, "user.binary", bytes(range(256)))
            os.setxattr(path, "user.longer", b"y" * 2000)
            subprocess.run(["setfacl", "-m", "u:1234:rw,g:5678:r", path], check=True)
        subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx", self.path(*at, "folder")], check=True)
        # cap_net_raw+ep
        os.setxattr(self.path(*at, "file"), "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))

    def many(self):
        at = self.folder("many")
        for number in range(self.entries):
            with open(self.path(*at, f"entry {number:06}"), "wb") as out:
                if number % 100 == 0:
                    out.write(b"%d" % number)

    def deep(self):
        parts = self.folder("deep", *[f"level {level}" for level in range(self.levels)])
        self.file(*parts, "at the bottom", content=b"deep")

    def times(self):
        at = self.folder("times")
        for number, when in enumerate(TIMES):
            self.file(*at, f"file {number}", content=b"x")
            os.symlink("x", self.path(*at, f"link {number}"))
            self.folder(*at, f"folder {number}")
            for kind in ("file", "link", "folder"):
                os.utime(self.path(*at, f"{kind} {number}"), ns=(when, when), follow_symlinks=False)

    def make(self):
        os.mkdir(self.top)
        for part in (self.names, self.sizes, self.links, self.specials, self.modes, self.attributes, self.many,
                     self.deep, self.times):
            part()


def make_source(folder, big=24 * MIB, entries=2000, levels=60, seed=1):
    Maker(folder, big, entries, levels, seed).make()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--big", type=int, default=3 * GIB, metavar="BYTES", help="size of the largest file (3 GiB)")
    parser.add_argument("--entries", type=int, default=100_000, metavar="N", help="entries of the largest folder")
    parser.add_argument("--levels", type=int, default=60, metavar="N", help="folders within folders")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    args = parser.parse_args()
    make_source(args.folder, args.big, args.entries, args.levels, args.seed)


if __name__ == "__main__":
    main()
