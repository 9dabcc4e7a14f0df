# SPDX-License-Identifier: MIT
"""The folders of snapshots are named as restic mount names them."""

import subprocess

from support import RESTIC, RESTIC_NEWER, MountTest, is_mounted, main, run, wait_until

# (time, host, tags): three hosts, four tags, several snapshots of the same second.
SNAPSHOTS = [
    ("2024-01-01 10:00:00", "alpha", ["daily"]),
    ("2024-01-01 10:00:00", "alpha", ["daily", "weekly"]),
    ("2024-01-01 10:00:00", "beta", []),
    ("2024-01-02 10:00:00", "beta", ["daily"]),
    ("2024-01-02 10:00:00", "gamma", ["odd/name"]),
    ("2024-01-03 23:59:59", "gamma", ["weekly", "keep"]),
    ("2024-03-31 02:30:00", "alpha", ["keep"]),
    ("2024-07-01 00:00:00", "alpha", ["daily"]),
    ("2024-07-01 00:00:00", "alpha", ["daily"]),
    ("2024-07-02 00:00:00", "beta", ["daily", "odd/name"]),
    ("2024-07-03 00:00:00", "gamma", ["weekly", "keep", "daily"]),
    ("2024-12-31 23:59:59", "alpha", ["weekly", "keep", "daily", "odd/name"]),
]
FOLDERS = ("ids", "snapshots", "hosts", "tags")


def listing(mountpoint, folders=FOLDERS):
    shown = run("find", *[f"{mountpoint}/{name}" for name in folders], "-maxdepth", 2, "-printf", "%P %y %l\n")
    return sorted(shown.stdout.splitlines())


class Listing(MountTest):
    restic = RESTIC

    def setUp(self):
        super().setUp()
        self.repository = self.make_repository(restic=self.restic)
        for number, (when, host, tags) in enumerate(SNAPSHOTS):
            source = self.work / f"source {number % 2}"
            source.mkdir(exist_ok=True)
            (source / "file").write_text(str(number), encoding="utf-8")
            self.repository.restic("backup", "--time", when, "--host", host, *[f"--tag={tag}" for tag in tags], source)

    def as_restic_lists(self, *flags, folders=FOLDERS):
        other = self.work / "restic-mnt"
        other.mkdir(exist_ok=True)
        self.start(self.restic, "-q", "-r", self.repository.folder, "--password-file", self.password_file,
                   "--no-cache", "mount", "--no-lock", *flags, other,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: is_mounted(other), "restic mount")
        shown = listing(other, folders)
        run("umount", other)
        return shown

    def as_we_list(self, *options, folders=FOLDERS):
        self.mount(self.repository.folder, *options)
        shown = listing(self.mountpoint, folders)
        self.unmount()
        return shown

    def test_the_default_folders(self):
        shown = self.as_we_list()
        self.assertEqual(shown, self.as_restic_lists())
        self.assertEqual(sum(line.startswith("2024-01-01T10:00:00Z") and "/" not in line for line in shown), 3)

    def test_selections(self):
        for options, flags in ((["host=alpha"], ["--host", "alpha"]),
                               (["host=alpha", "host=beta"], ["--host", "alpha", "--host", "beta"]),
                               (["tag=weekly"], ["--tag", "weekly"]),
                               (["tag=weekly\\,keep", "tag=odd/name"], ["--tag", "weekly,keep", "--tag", "odd/name"]),
                               ([f"path={self.work}/source 1"], ["--path", f"{self.work}/source 1"])):
            with self.subTest(options):
                self.assertEqual(self.as_we_list(*options), self.as_restic_lists(*flags))

    def test_templates(self):
        folders = ("by host", "flat")
        self.assertEqual(
            self.as_we_list("path-template=by host/%h/%T", "path-template=flat/%T", "time-template=%Y.%m.%d %H",
                            folders=folders),
            self.as_restic_lists("--path-template", "by host/%h/%T", "--path-template", "flat/%T", "--time-template",
                                 "2006.01.02 15", folders=folders))


if RESTIC_NEWER:

    class NewerListing(Listing):
        restic = RESTIC_NEWER


if __name__ == "__main__":
    main()
