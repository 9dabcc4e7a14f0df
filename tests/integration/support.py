# SPDX-License-Identifier: MIT
"""What the integration tests share: real repositories, real mounts, and the certainty that nothing of them is left.

Every test works in a folder of its own with a unique name. All programs it starts have that name in their command line,
so that the ones that are left at the end can be found and ended without touching anybody else's.
"""

import atexit
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "support"))

# CTest says which build to test; by hand it is the dev preset's.
BUILT = pathlib.Path(os.environ.get("PROGRAMS", TESTS.parent / "build" / "dev" / "bin"))
MOUNT_RESTIC = str(BUILT / "mount.restic")
UMOUNT_RESTIC = str(BUILT / "umount.restic")
FSX = str(BUILT / "fsx")
LINE_PROXY = str(BUILT / "line_proxy")
RESTIC = os.environ.get("RESTIC", "/usr/bin/restic")
RCLONE = os.environ.get("RCLONE", "/usr/bin/rclone")
RESTIC_NEWER = os.environ.get("RESTIC_NEWER")  # when set, what is about other versions runs with these as well
RCLONE_NEWER = os.environ.get("RCLONE_NEWER")
RCLONE_S3 = os.environ.get("RCLONE_S3")  # an rclone that serves S3, which Debian's do not
FULL = os.environ.get("FULL", "") not in ("", "0")  # the sizes of real life instead of quick ones
PASSWORD = "correct horse battery staple"
PATIENCE = 60  # seconds to wait for what should come at once


def run(*args, check=True, timeout=600, env=None, cwd=None, stdin=subprocess.DEVNULL):
    """Runs a program to its end; output as text, undecodable bytes escaped."""
    # Files, not pipes: nobody waits for the end of what a program left behind might still write.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        done = subprocess.run([str(arg) for arg in args], stdin=stdin, stdout=out, stderr=err, timeout=timeout, env=env,
                              cwd=cwd, check=False)
        for name, file in (("stdout", out), ("stderr", err)):
            file.seek(0)
            setattr(done, name, file.read().decode("utf-8", "backslashreplace"))
    if check and done.returncode != 0:
        raise AssertionError(f"{args} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def wait_until(condition, what, patience=PATIENCE):
    """Waits for condition() to be true, and returns its value."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s in vain: {what}")
        time.sleep(0.02)


def is_mounted(folder):
    wanted = str(folder)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        return any(line.split()[4] == wanted for line in mounts)


def processes(with_text):
    """Ids and command lines of the processes that have this text in their command line, but for our own."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            command = pathlib.Path("/proc", entry, "cmdline").read_bytes()
        except OSError:
            continue
        words = [os.fsdecode(word) for word in command.split(b"\0") if word]
        if any(with_text in word for word in words):
            found[int(entry)] = words
    return found


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Repository:
    """A repository that restic made, in a local folder."""

    def __init__(self, folder, version=2, restic=RESTIC, password_file=None, cache=None):
        self.folder = pathlib.Path(folder)
        self.program = restic
        self.password_file = password_file
        self.cache = cache
        self.restic("init", "--repository-version", version)

    def restic(self, *args, check=True, cwd=None):
        return run(self.program, "-q", "-r", self.folder, "--password-file", self.password_file, "--cache-dir",
                   self.cache, *args, check=check, cwd=cwd)

    def files(self, kind):
        """Paths of the repository's files of a kind: keys, index, snapshots, data."""
        return sorted(path for path in (self.folder / kind).rglob("*") if path.is_file())


class MountTest(unittest.TestCase):
    """A test with a folder of its own (self.work), a mountpoint in it (self.mountpoint) and a clean end."""

    read_only = True  # of the mounts; False: with new/

    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="mount-restic-test.")).resolve()
        atexit.register(self._clean_up)  # an interrupted test has no clean-up of unittest's
        self.addCleanup(atexit.unregister, self._clean_up)
        self.addCleanup(self._clean_up)
        self.mountpoint = self.work / "mnt"
        self.mountpoint.mkdir()
        self.password_file = self.work / "password"
        self.password_file.write_text(PASSWORD + "\n", encoding="utf-8")
        self.rclone_config = self.work / "rclone.conf"
        self.rclone_config.write_text("[here]\ntype = local\n", encoding="utf-8")
        self._started = []

    def _clean_up(self):
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            ours = [line.split()[4] for line in mounts if line.split()[4].startswith(str(self.work))]
        for folder in reversed(ours):
            subprocess.run(["umount", "-i", "-l", folder], check=False, timeout=PATIENCE)
        for child in self._started:
            child.kill()
            child.wait()
        for pid in processes(str(self.work)):
            kill(pid)
        shutil.rmtree(self.work, ignore_errors=True)

    # Programs

    def start(self, *args, **keywords):
        """Starts a program in the background; it is ended with the test."""
        child = subprocess.Popen([str(arg) for arg in args], stdin=subprocess.DEVNULL, **keywords)
        self._started.append(child)
        return child

    def make_repository(self, name="repo", version=2, restic=RESTIC):
        return Repository(self.work / name, version, restic, self.password_file, self.work / "restic-cache")

    def environment(self, **more):
        """The bare environment of a service, and rclone's configuration."""
        return {"RCLONE_CONFIG": str(self.rclone_config), **more}

    def mount_command(self, repository, *options, mountpoint=None, flags=()):
        listed = [f"password-file={self.password_file}", f"cache-dir={self.work / 'cache'}",
                  f"state-dir={self.work / 'state'}", *(["ro"] if self.read_only else []), *options]
        return [MOUNT_RESTIC, str(repository), str(mountpoint or self.mountpoint), "-o", ",".join(listed), *flags]

    def try_mount(self, repository, *options, mountpoint=None, env=None, flags=()):
        """Runs mount.restic, with a password unless the options say otherwise, and returns how it ended."""
        return run(*self.mount_command(repository, *options, mountpoint=mountpoint, flags=flags), check=False,
                   env=self.environment() if env is None else env, timeout=120)

    def mount(self, repository, *options, **keywords):
        done = self.try_mount(repository, *options, **keywords)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def unmount(self, mountpoint=None):
        """Unmounts and waits for the program to end."""
        folder = mountpoint or self.mountpoint
        run("umount", folder)
        wait_until(lambda: not self.daemons(folder), "mount.restic to end after umount")

    def commit_and_unmount(self, mountpoint=None, check=True, timeout=600):
        """Unmounts as umount(8) does where the program is installed: with what is in new/ made durable first."""
        folder = mountpoint or self.mountpoint
        done = run(UMOUNT_RESTIC, folder, check=check, timeout=timeout)
        self.assertFalse(is_mounted(folder))
        return done

    def daemons(self, mountpoint=None):
        """Process ids of mount.restic for this mountpoint."""
        found = processes(str(mountpoint or self.mountpoint))
        return [pid for pid, words in found.items() if words[0] == MOUNT_RESTIC]

    def rclones(self):
        """Process ids of the rclones that serve for mount.restic."""
        return [pid for pid, words in processes(str(self.work)).items() if "--stdio" in words]

    # Assertions

    def assert_refused(self, done, code, *texts):
        """One clear line, the right exit code, nothing half-mounted."""
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("mount.restic: "), lines[0])
        for text in texts:
            self.assertIn(text, lines[0])
        self.assertFalse(is_mounted(self.mountpoint))
        wait_until(lambda: not self.daemons() and not self.rclones(), "processes of a failed mount to end")

    def assert_same_tree(self, source, shown):
        """Names, content and every piece of metadata agree."""
        # diff cannot compare devices and the like, rsync does.
        different = run("diff", "-r", "--no-dereference", "--exclude=special", source, shown, check=False)
        self.assertEqual((different.returncode, different.stdout, different.stderr), (0, "", ""))
        changes = run("rsync", "-aHAXn", "--delete", "-i", "--modify-window=-1", "--exclude=special/socket",
                      f"{source}/", f"{shown}/")
        self.assertEqual(changes.stdout, "")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    unittest.main(verbosity=2)
