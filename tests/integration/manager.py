"""A service manager in miniature: it keeps descriptors, and starts the daemon again with them."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

from tests.integration.harness import DEADLINE, Daemon

# The daemon as systemd starts it: descriptors from 3 on, and a unit. The unit is known by the
# control group, which no test can choose, so that one answer is given to the daemon here.
_STARTED = """
import os, sys
from localechod.host import jobs
from localechod.daemon.__main__ import main
jobs.own_unit = lambda: jobs.Unit("localechod.service")
for place, descriptor in enumerate(map(int, sys.argv.pop(1).split(",")[1:])):
    os.dup2(descriptor, 3 + place)
    os.close(descriptor)
os.environ["LISTEN_PID"] = str(os.getpid())
sys.argv[0] = "localechod"
sys.exit(main())
"""
_SYSTEMCTL = '#!/bin/sh\nread -r job <"${0%/*}/job"\necho "7 localechod.service $job running"\n'
_CONNECTION = re.compile(r"@\d+@.*")
_ABOVE = 100  # the numbers that descriptors are passed by, out of the way of 3 and what follows


class Manager:
    """Starts, restarts, stops and kills one daemon, as systemd does."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.store: list[tuple[str, int]] = []
        self.status = ""
        self._ready = threading.Event()
        self._read = threading.Event()
        self._bin = daemon.directory / "bin"
        self._bin.mkdir()
        (self._bin / "systemctl").write_text(_SYSTEMCTL, encoding="utf-8")
        (self._bin / "systemctl").chmod(0o755)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(daemon.notified)
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def start(self) -> None:
        """Start it with all that is stored, and return when it is ready."""
        self._ready.clear()
        process = self._launch()
        deadline = time.monotonic() + DEADLINE
        while not self._ready.wait(0.1):
            going = process.poll() is None and time.monotonic() < deadline
            assert going, self.daemon.log.read_text(encoding="utf-8")

    def refused(self) -> int:
        """Start what shall not start; return the exit status."""
        return self._launch().wait(DEADLINE)

    def _launch(self) -> subprocess.Popen[bytes]:
        passed = [fcntl.fcntl(fd, fcntl.F_DUPFD, _ABOVE) for _, fd in self.store]
        numbers = "".join(f",{number}" for number in passed)
        own = self.daemon.command()[3:]
        with self.daemon.log.open("ab") as log:
            self.daemon.process = subprocess.Popen(
                [sys.executable, "-c", _STARTED, f"x{numbers}", *own],
                pass_fds=passed,
                stderr=log,
                env={
                    **os.environ,
                    "PATH": f"{self._bin}:{os.environ['PATH']}",
                    "NOTIFY_SOCKET": f"@{self.daemon.notified[1:]}",
                    "INVOCATION_ID": "1",
                    "LISTEN_FDS": str(len(passed)),
                    "LISTEN_FDNAMES": ":".join(name for name, _ in self.store),
                },
            )
        for number in passed:
            os.close(number)
        return self.daemon.process

    def end(self, job: str, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal while that job waits for the unit; return the exit status."""
        (self._bin / "job").write_text(f"{job}\n", encoding="utf-8")
        process = self.daemon.process
        assert process is not None
        process.send_signal(number)
        status = process.wait(DEADLINE)
        self._read.clear()  # what it said last is read before this
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"END=1", self._notify.getsockname())
        assert self._read.wait(DEADLINE)
        return status

    def restart(self) -> None:
        """As `systemctl restart`."""
        assert self.end("restart") == 0
        self.start()

    @property
    def names(self) -> list[str]:
        """What is stored but for connections, sorted."""
        return sorted(name for name, _ in self.store if not _CONNECTION.fullmatch(name))

    @property
    def connections(self) -> int:
        """How many connections are stored."""
        return len(self.store) - len(self.names)

    def close(self) -> None:
        """End the thread, and let go of everything."""
        self.daemon.kill()
        self._notify.shutdown(socket.SHUT_RD)
        self._listener.join()
        self._notify.close()
        for _, descriptor in self.store:
            os.close(descriptor)

    def _listen(self) -> None:
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._notify, 65536, 64)
            if not message:
                return
            lines = dict(line.partition("=")[::2] for line in message.decode().splitlines())
            name = lines.get("FDNAME", "stored")
            if "FDSTORE" in lines:
                self._keep(name, descriptors)
            else:
                for descriptor in descriptors:  # a barrier: closing it is the answer
                    os.close(descriptor)
            if "FDSTOREREMOVE" in lines:
                for entry in [entry for entry in self.store if entry[0] == name]:
                    self.store.remove(entry)
                    os.close(entry[1])
            self.status = lines.get("STATUS", self.status)
            if "END" in lines:
                self._read.set()
            if "READY" in lines:
                self._ready.set()

    def _keep(self, name: str, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            if any(_same(descriptor, kept) for _, kept in self.store):
                os.close(descriptor)
            else:
                self.store.append((name, descriptor))


def _same(one: int, other: int) -> bool:
    """As systemd looks for what it has already; sockets have an inode each, memory files too."""
    with suppress(OSError):
        return os.path.sameopenfile(one, other)
    return False
