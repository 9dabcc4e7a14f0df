# SPDX-License-Identifier: MIT
"""Where a repository lies, from the mounting program's point of view."""
import os
import re
import signal
import socket
import subprocess
import time


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for_port(port, process):
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"a server of the benchmark ended early: {process.args}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"no answer from {process.args}")


class Local:
    name = "local"
    note = ""  # what a reader of the figures should know

    def __init__(self, tools):
        self.environment = dict(tools.environment)

    def repository(self, folder):
        return folder

    def traffic(self):
        return None

    def close(self):
        pass


class Rclone(Local):
    """rclone on a local folder."""
    name = "rclone"

    def __init__(self, tools):
        super().__init__(tools)
        config = os.path.join(tools.work, "rclone-local.conf")
        with open(config, "w", encoding="ascii") as out:
            out.write("[disk]\ntype = local\n")
        self.environment["RCLONE_CONFIG"] = config

    def repository(self, folder):
        return f"rclone:disk:{folder}"


class Line(Local):
    """rclone on a WebDAV server behind a line of 25 ms each way and 1 Gbit/s."""
    name = "line"

    def __init__(self, tools, delay_ms=25, mbit=1000):
        super().__init__(tools)
        self._root = tools.work
        server_port, line_port = _free_port(), _free_port()
        self._server = subprocess.Popen(
            [tools.rclone, "serve", "webdav", "--dir-cache-time", "500ms", "--addr",
             f"127.0.0.1:{server_port}", self._root],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._proxy = subprocess.Popen(
            [tools.program("line_proxy"), str(line_port), str(server_port), str(delay_ms), str(mbit)],
            stdout=subprocess.PIPE, text=True)
        self.note = self._proxy.stdout.readline().strip()
        _wait_for_port(server_port, self._server)
        config = os.path.join(tools.work, "rclone-line.conf")
        with open(config, "w", encoding="ascii") as out:
            out.write(f"[far]\ntype = webdav\nurl = http://127.0.0.1:{line_port}\nvendor = other\n")
        self.environment["RCLONE_CONFIG"] = config

    def repository(self, folder):
        return "rclone:far:" + os.path.relpath(folder, self._root)

    def traffic(self):
        """(connections, bytes up, bytes down) so far."""
        self._proxy.send_signal(signal.SIGUSR1)
        return tuple(int(number) for number in re.findall(r"\d+", self._proxy.stdout.readline()))

    def close(self):
        for process in (self._proxy, self._server):
            process.terminate()
            process.wait()


STORAGES = {kind.name: kind for kind in (Local, Rclone, Line)}
