"""localechoctl top in a real terminal (tmux): what it shows, its keys, and its end."""

import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.integration.harness import Daemon, until

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")

EVIL = b"evil\x1b]0;owned\x07\x1b[31m\n"


class Terminal:
    """A terminal of 80 x 24 with a shell that runs `localechoctl top`."""

    def __init__(self, directory: Path, control: Path) -> None:
        self._server = ["tmux", "-S", str(directory / "tmux"), "-f", "/dev/null"]
        program = [sys.executable, "-m", "localechod.ctl", "--control", str(control)]
        top = shlex.join([*program, "top", "--interval", "0.2"])
        self._pid = directory / "pid"
        # exec in a shell of its own, so that the pid is known; Ctrl-C is sent to both shells.
        inner = f"sh -c 'echo $$ >{self._pid}; exec {top}'"
        script = f"trap : INT; echo before; {inner}; echo ended $?; stty; exec cat"
        self.tmux("new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", script)

    def tmux(self, *words: str) -> str:
        done = subprocess.run([*self._server, *words], check=True, capture_output=True, text=True)
        return done.stdout

    def keys(self, *names: str) -> None:
        self.tmux("send-keys", *names)

    def lines(self) -> list[str]:
        return self.tmux("capture-pane", "-p").splitlines()

    def wait_for(self, pattern: str) -> list[str]:
        """Wait until the screen has a text, and return its lines."""
        until(lambda: re.search(pattern, "\n".join(self.lines())) is not None)
        return self.lines()

    def is_drawn(self, rows: int) -> bool:
        """Whether the last of so many rows has the list of keys."""
        lines = self.lines()
        return len(lines) == rows and lines[-1].startswith("q quit")

    def state(self) -> str:
        """Return whether the alternate screen is shown, and whether the cursor is."""
        return self.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").strip()

    def pid(self) -> int:
        return int(self._pid.read_text())

    def close(self) -> None:
        subprocess.run([*self._server, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def queue(sockdir: Path) -> Iterator[socket.socket]:
    """A listener with three clients that wait, and one with an evil name and a client."""
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as evil:
        server.bind(str(sockdir / "queue"))
        server.listen(9)
        evil.bind(bytes(sockdir) + b"/" + EVIL)
        evil.listen()
        clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for client in clients[1:]:
            client.connect(str(sockdir / "queue"))
        clients[0].connect(bytes(sockdir) + b"/" + EVIL)
        yield server
        for client in clients:
            client.close()


@pytest.fixture
def terminal(sockdir: Path, queue: socket.socket) -> Iterator[Terminal]:
    found = Terminal(sockdir, sockdir / "none")
    yield found
    found.close()


def test_the_screen_shows_queues_as_they_change(
    terminal: Terminal, queue: socket.socket, sockdir: Path
) -> None:
    terminal.keys("/", f"{sockdir.name}/queue", "Enter")
    terminal.wait_for(r"\n +3 +9 .*/queue")
    queue.accept()[0].close()
    terminal.wait_for(r"\n +2 +9 .*/queue")
    assert terminal.lines()[1].startswith("localechod is not running: ")
    assert terminal.lines()[-1].startswith("q quit  s sort")
    assert terminal.state() == "1 0"


def test_keys_sort_and_filter(terminal: Terminal, sockdir: Path) -> None:
    terminal.wait_for("by load")
    terminal.keys("s")
    terminal.wait_for("by trouble")
    terminal.keys("s")
    terminal.wait_for("by name")
    terminal.keys("/", "no such name")
    terminal.wait_for("filter: no such name_")
    terminal.wait_for("no socket with a queue matches")
    terminal.keys("BSpace", "Enter")
    terminal.wait_for("filter: no such nam\n")
    terminal.keys("Escape")
    until(lambda: "filter:" not in terminal.lines()[0])
    terminal.keys("a", "/", str(sockdir))
    terminal.wait_for(re.escape(r"/evil\x1b]0"))


def test_it_follows_the_size_of_the_terminal(terminal: Terminal, sockdir: Path) -> None:
    terminal.wait_for("q quit")
    for columns, rows in ((40, 10), (120, 40), (9, 3)):
        terminal.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        until(partial(terminal.is_drawn, rows))
        assert all(len(line) <= columns for line in terminal.lines())


@pytest.mark.parametrize(("how", "status"), [("q", 0), ("C-c", 130), ("SIGTERM", 143)])
def test_the_terminal_is_as_before_at_the_end(terminal: Terminal, how: str, status: int) -> None:
    terminal.wait_for("q quit")
    assert "before" not in terminal.lines()[0]
    if how == "SIGTERM":
        subprocess.run(["kill", "-TERM", str(terminal.pid())], check=True)
    else:
        terminal.keys(how)
    lines = terminal.wait_for("ended")
    assert lines[:2] == ["before", f"ended {status}"]
    assert terminal.state() == "0 1"
    settings = "\n".join(lines)
    assert "-echo" not in settings
    assert "-icanon" not in settings


def test_rates_of_our_endpoints(daemon: Daemon, sockdir: Path, queue: socket.socket) -> None:
    daemon.configure('[endpoints.s]\ntype = "stream"\n')
    daemon.start()
    over = threading.Event()

    def talk() -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(daemon.runtime / "s.sock"))
            while not over.wait(0.01):
                client.sendall(b"hello\n")
                client.recv(100)

    thread = threading.Thread(target=talk)
    thread.start()
    terminal = Terminal(sockdir, daemon.runtime / "control.sock")
    try:
        lines = terminal.wait_for(r"\ns +stream +listening +1 +[1-9]\d*(\.\d)? +[1-9]")
        assert lines[1].startswith("localechod 0.")
    finally:
        terminal.close()
        over.set()
        thread.join()
