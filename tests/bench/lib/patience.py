# SPDX-License-Identifier: MIT
"""An end to what takes too long, so that one program that hangs does not cost the figures of all others."""
import contextlib
import os
import signal
import subprocess
import threading


def _with_children(root):
    """The process and all that it started, and those started in turn."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                parents.setdefault(int(stat.read().rsplit(")", 1)[1].split()[1]), []).append(int(name))
        except OSError:
            pass  # it has ended meanwhile
    found = [root]
    for process in found:
        found += parents.get(process, [])
    return found


def kill(process):
    """Kills a program that was not waited for yet, and its children, rclone for one. It is stopped first, so that it
    starts no others. Whoever waits for it does so as if it had ended by itself."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP)
    for each in _with_children(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


class Patience:
    """Used with `with` around a measurement: when it was not renewed for so many seconds, it is `lost`, and all programs
    that are watched are killed. Whoever waits for them or for their mount finds an error then, and cleans up as
    always."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.lost = False
        self._changed = threading.Condition()
        self._programs = []
        self._renewed = 0
        self._ended = True

    def __enter__(self):
        self.lost = self._ended = False
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()
        return self

    def __exit__(self, *_):
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def renew(self):
        with self._changed:
            self._renewed += 1
            self._changed.notify()

    def _wait(self):
        with self._changed:
            while not self._ended:
                before = self._renewed
                self._changed.wait_for(lambda: self._ended or self._renewed != before, self.seconds)
                if not self._ended and self._renewed == before:
                    self._lose()
                    return

    def _lose(self):
        self.lost = True
        for program in self._programs:
            kill(program)

    def watch(self, process):
        with self._changed:
            self._programs.append(process)
            if self.lost and not self._ended:  # it belongs to a measurement that has failed already
                kill(process)

    def forget(self, process):
        with self._changed:
            self._programs.remove(process)

    def run(self, command, **how):
        """Runs a command that has to succeed; what os.wait4 says it has used."""
        process = subprocess.Popen(command, **how)
        self.watch(process)
        try:
            # It stays a zombie until it is forgotten: nothing else can have its number when it is killed.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        except BaseException:  # by the keyboard
            with self._changed:
                self._lose()
            raise
        finally:
            self.forget(process)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, command)
        return usage
