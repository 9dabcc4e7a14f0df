# SPDX-License-Identifier: MIT
"""mount(8), fstab, services and people in front of a shell can all mount.

The tests that need /sbin/mount.restic and an /etc/fstab run in a mount namespace of their own, in which both are there;
the machine's own are not touched.
"""

import os
import pathlib
import shutil
import signal

from support import MOUNT_RESTIC, MountTest, is_mounted, kill, main, run, wait_until

NOBODY = 65534

# Puts the program into /sbin and $2 over /etc/fstab, in a namespace that goes with the command in $3.
IN_A_NAMESPACE = """
mkdir "$1/upper" "$1/work" &&
mount -t overlay overlay -o "lowerdir=$(readlink -f /sbin),upperdir=$1/upper,workdir=$1/work" "$(readlink -f /sbin)" &&
ln -s "$MOUNT_RESTIC" /sbin/mount.restic && mount --bind "$2" /etc/fstab && eval "$3"
"""


class MountHelper(MountTest):
    def setUp(self):
        super().setUp()
        self.source = self.work / "source"
        self.source.mkdir()
        (self.source / "file").write_text("content", encoding="utf-8")
        self.repository = self.make_repository()
        self.repository.restic("backup", self.source)
        self.options = f"password-file={self.password_file},cache-dir={self.work}/cache,state-dir={self.work}/state"
        self.shown = self.mountpoint / f"snapshots/latest{self.source}/file"

    def in_a_namespace(self, command, fstab=""):
        """Runs a shell command where mount(8) finds mount.restic; its output."""
        table = self.work / "fstab"
        table.write_text(fstab, encoding="utf-8")
        scratch = self.work / "scratch"
        scratch.mkdir()
        return run("unshare", "--mount", "sh", "-c", IN_A_NAMESPACE, "sh", scratch, table, command, check=False,
                   env=dict(os.environ, MOUNT_RESTIC=MOUNT_RESTIC, SHOWN=str(self.shown), MNT=str(self.mountpoint)))

    def test_it_answers_as_soon_as_it_returns(self):
        for location in (self.repository.folder, f"rclone:here:{self.repository.folder}"):
            self.mount(location)
            self.assertEqual(len(os.listdir(self.mountpoint / "snapshots")), 2)
            self.unmount()

    def test_it_needs_no_environment(self):
        self.mount(self.repository.folder, env={})
        self.assertEqual(self.shown.read_text(), "content")
        self.unmount()
        self.mount(f"rclone::local:{self.repository.folder}", env={})
        self.assertEqual(self.shown.read_text(), "content")

    def test_it_takes_everything_from_the_environment_instead(self):
        done = run(MOUNT_RESTIC, self.mountpoint, "-r", env={
            "RESTIC_REPOSITORY": str(self.repository.folder), "RESTIC_PASSWORD_FILE": str(self.password_file),
            "XDG_CACHE_HOME": str(self.work / "cache")})
        self.assertEqual(done.stderr, "")
        self.assertEqual(self.shown.read_text(), "content")

    def test_mount_finds_it(self):
        done = self.in_a_namespace(
            f'mount -t restic {self.repository.folder} "$MNT" -o {self.options},noexec,nofail,_netdev &&'
            ' cat "$SHOWN" && findmnt -n -o FSTYPE,OPTIONS "$MNT"; umount "$MNT"')
        self.assertEqual(done.stderr, "")
        self.assertIn("content", done.stdout)
        self.assertRegex(done.stdout, r"fuse\.restic .*noexec")

    def test_a_line_of_fstab_is_enough(self):
        line = f"{self.repository.folder} {self.mountpoint} restic noauto,user,x-systemd.automount,{self.options} 0 0\n"
        done = self.in_a_namespace('mount "$MNT" && cat "$SHOWN"; umount "$MNT"', line)
        self.assertEqual((done.stdout, done.stderr), ("content", ""))

    def test_a_user_may_mount_a_line_of_fstab_with_user(self):
        for folder, _, files in os.walk(self.work):
            for path in [folder, *[os.path.join(folder, name) for name in files]]:
                os.chown(path, NOBODY, NOBODY)
        program = self.work / "mount.restic"  # where nobody may look
        shutil.copy(MOUNT_RESTIC, program)
        line = f"{self.repository.folder} {self.mountpoint} restic noauto,user,{self.options} 0 0\n"
        done = self.in_a_namespace(
            f'ln -sf {program} /sbin/mount.restic; as="setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups";'
            'mknod "$1/fuse" c 10 229; chmod 666 "$1/fuse"; mount --bind "$1/fuse" /dev/fuse;'
            '$as mount "$MNT" && $as cat "$SHOWN" && $as fusermount3 -u "$MNT"', line)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "content", ""))

    def test_a_user_who_may_not_use_fuse_is_told(self):
        os.chown(self.password_file, NOBODY, NOBODY)
        os.chown(self.mountpoint, NOBODY, NOBODY)
        shutil.copy(MOUNT_RESTIC, self.work / "mount.restic")
        self.work.chmod(0o755)
        done = self.in_a_namespace(
            'mknod "$1/fuse" c 10 229; chmod 600 "$1/fuse"; mount --bind "$1/fuse" /dev/fuse;'
            f'setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {self.work}/mount.restic {self.repository.folder} "$MNT" '
            f'-o ro,{self.options}; echo "code $?"')
        self.assertIn("code 32", done.stdout)
        self.assertIn("mount.restic: cannot open /dev/fuse: Permission denied; ", done.stderr)

    def test_a_user_who_may_not_mount_there_or_let_others_in_is_told(self):
        os.chown(self.password_file, NOBODY, NOBODY)
        program = self.work / "mount.restic"
        shutil.copy(MOUNT_RESTIC, program)
        self.work.chmod(0o755)
        own = self.work / "own"
        shared = self.work / "shared"
        for folder in (own, shared):
            folder.mkdir()
        os.chown(own, NOBODY, NOBODY)
        shared.chmod(0o1777)
        refused = (
            (self.mountpoint, "", f"mountpoint {self.mountpoint} is not yours to mount on; "),
            (shared, "", f"mountpoint {shared} is not yours to mount on; "),
            (own, ",allow_other", "allow_other is for root only, unless /etc/fuse.conf has the line user_allow_other"),
            (own, ",allow_root", "allow_root is for root only, unless /etc/fuse.conf has the line user_allow_other"))
        command = ('mknod "$1/fuse" c 10 229; chmod 666 "$1/fuse"; mount --bind "$1/fuse" /dev/fuse;'
                   "mount --bind /dev/null /etc/fuse.conf;")
        for mountpoint, more, _ in refused:
            command += (f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {program} {self.repository.folder} "
                        f'{mountpoint} -o ro,no-cache,{self.options}{more}; echo "code $?";')
        done = self.in_a_namespace(command)
        self.assertEqual(done.stdout.splitlines()[-4:], ["code 32"] * 4)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 4, lines)
        for line, (_, _, said) in zip(lines, refused):
            self.assertTrue(line.startswith(f"mount.restic: {said}"), line)

    def test_its_failure_is_the_failure_of_mount(self):
        done = self.in_a_namespace(f'mount -t restic {self.work}/nowhere "$MNT" -o {self.options}; echo "code $?"')
        self.assertIn("code 32", done.stdout)
        self.assertIn("mount.restic: ", done.stderr)

    def test_it_mounts_in_another_namespace(self):
        holder = self.start("unshare", "--mount", "sleep", 1000)
        own = os.readlink("/proc/self/ns/mnt")
        wait_until(lambda: os.readlink(f"/proc/{holder.pid}/ns/mnt") != own, "the other namespace")
        self.mount(self.repository.folder, flags=("-N", str(holder.pid)))
        self.assertFalse(is_mounted(self.mountpoint))
        self.assertEqual(pathlib.Path(f"/proc/{holder.pid}/root{self.shown}").read_text(), "content")

    def test_it_leaves_nothing_of_the_caller_open(self):
        self.mount(self.repository.folder)
        daemon, = self.daemons()
        for number in (0, 1, 2):
            self.assertEqual(os.readlink(f"/proc/{daemon}/fd/{number}"), "/dev/null")
        self.assertEqual(os.readlink(f"/proc/{daemon}/cwd"), "/")

    def test_no_core_dump_can_hold_its_keys(self):
        self.mount(self.repository.folder)
        daemon, = self.daemons()
        limits = pathlib.Path(f"/proc/{daemon}/limits").read_text(encoding="ascii")
        self.assertRegex(limits, r"Max core file size +0 +0 ")

    def test_the_password_is_not_in_its_environment(self):
        done = run(MOUNT_RESTIC, self.repository.folder, self.mountpoint, "-o", f"ro,cache-dir={self.work}/cache",
                   env={"RESTIC_PASSWORD": self.password_file.read_text().strip()})
        self.assertEqual(done.returncode, 0, done.stderr)
        daemon, = self.daemons()
        self.assertNotIn(b"correct horse", pathlib.Path(f"/proc/{daemon}/environ").read_bytes())

    def test_a_signal_unmounts(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.mount(self.repository.folder)
            daemon, = self.daemons()
            kill(daemon, signal.SIGHUP)
            self.assertEqual(self.shown.read_text(), "content", "SIGHUP must be ignored")
            kill(daemon, number)
            wait_until(lambda: not self.daemons(), "mount.restic to end")
            self.assertFalse(is_mounted(self.mountpoint))

    def test_in_the_foreground_it_ends_with_the_mount(self):
        for end in ("unmount", signal.SIGINT):
            child = self.start(*self.mount_command(self.repository.folder, flags=("-f",)))
            wait_until(lambda: is_mounted(self.mountpoint), "the mount")
            self.assertEqual(self.shown.read_text(), "content")
            if end == "unmount":
                run("umount", self.mountpoint)
            else:
                child.send_signal(end)
            self.assertEqual(child.wait(timeout=60), 0)
            self.assertFalse(is_mounted(self.mountpoint))

    def test_a_caller_that_gives_up_leaves_nothing_behind(self):
        silent = self.work / "rclone that hangs"
        silent.write_text("#!/bin/sh\nexec sleep 1000\n", encoding="utf-8")
        silent.chmod(0o755)
        caller = self.start(*self.mount_command("rclone:here:x", f"rclone-program={silent}"))
        wait_until(lambda: len(self.daemons()) == 2, "the daemon to start")
        kill(caller.pid)
        caller.wait()
        wait_until(lambda: not self.daemons(), "the daemon to end")
        self.assertFalse(is_mounted(self.mountpoint))


if __name__ == "__main__":
    main()
