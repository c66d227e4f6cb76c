"""localechoctl top in a real terminal (tmux): what it shows, its keys, and its end."""

import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.integration.harness import Daemon

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="not installed: tmux")

DEADLINE = 60.0  # seconds, most of which a loaded machine takes to start Python
EVIL = b"evil\x1b]0;owned\x07\x1b[31m\n"


class Terminal:
    """A terminal of 80 x 24 with a shell that runs `localechoctl top`."""

    def __init__(self, directory: Path, control: Path, *environment: str) -> None:
        self._server = ["tmux", "-S", str(directory / "tmux"), "-f", "/dev/null"]
        program = [sys.executable, "-m", "localechod.ctl", "--control", str(control)]
        top = shlex.join(["env", *environment, *program, "top", "--interval", "0.2"])
        self._pid = directory / "pid"
        # exec in a shell of its own, so that the pid is known; Ctrl-C is sent to both shells.
        inner = f"sh -c 'echo $$ >{self._pid}; exec {top}'"
        script = f"trap : INT; echo before; {inner}; echo ended $?; stty; exec cat"
        self.tmux("new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", script)
        # A copy of what the programs write says when to look: a tmux for each look, again and
        # again, would take the processor from the program under test.
        os.mkfifo(directory / "written")
        self._written = os.open(directory / "written", os.O_RDONLY | os.O_NONBLOCK)
        self.tmux("pipe-pane", f"cat >{shlex.quote(str(directory / 'written'))}")

    def tmux(self, *words: str) -> str:
        done = subprocess.run([*self._server, *words], check=True, capture_output=True, text=True)
        return done.stdout

    def keys(self, *names: str) -> None:
        self.tmux("send-keys", *names)

    def lines(self) -> list[str]:
        return self.tmux("capture-pane", "-p").splitlines()

    def wait_for(self, pattern: str) -> list[str]:
        """Wait until the screen has a text, and return its lines."""
        self.until(lambda: re.search(pattern, "\n".join(self.lines())) is not None)
        return self.lines()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of the screen; look again whenever it may have changed."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            left = deadline - time.monotonic()
            written = select.select([self._written], [], [], max(0, left))[0]
            assert written, "\n".join(self.lines())
            assert left > 0, "\n".join(self.lines())
            os.read(self._written, 65536)

    def is_drawn(self, rows: int) -> bool:
        """Whether the last of so many rows has the list of keys."""
        lines = self.lines()
        return len(lines) == rows and lines[-1].startswith("q quit")

    def state(self) -> str:
        """Return whether the alternate screen is shown, and whether the cursor is."""
        return self.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").strip()

    def pid(self) -> int:
        return int(self._pid.read_text())

    def colours(self) -> set[str]:
        """Return the codes of colours and attributes (SGR of ECMA-48) that the screen has."""
        return set(re.findall(r"\x1b\[([\d;]*)m", self.tmux("capture-pane", "-p", "-e")))

    def hang_up(self) -> None:
        """Take the terminal away from its programs."""
        subprocess.run([*self._server, "kill-server"], check=False, capture_output=True)

    def close(self) -> None:
        self.hang_up()
        os.close(self._written)


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
    terminal.until(lambda: "filter:" not in terminal.lines()[0])
    terminal.keys("a", "/", str(sockdir))
    terminal.wait_for(re.escape(r"/evil\x1b]"))


def test_it_follows_the_size_of_the_terminal(terminal: Terminal, sockdir: Path) -> None:
    terminal.wait_for("q quit")
    for columns, rows in ((40, 10), (120, 40), (9, 3)):
        terminal.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        terminal.until(partial(terminal.is_drawn, rows))
        assert all(len(line) <= columns for line in terminal.lines())


@pytest.mark.parametrize(
    ("environment", "colour"),
    [((), True), (("NO_COLOR=1",), False), (("TERM=vt100",), False)],
    ids=["colours", "NO_COLOR", "monochrome"],
)
def test_a_full_listener_is_red_or_else_bold(
    sockdir: Path, environment: tuple[str, ...], *, colour: bool
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(sockdir / "full"))
        server.listen(0)
        stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(sockdir / "full"))
        terminal = Terminal(sockdir, sockdir / "none", *environment)
        stack.callback(terminal.close)
        terminal.wait_for(r"\n +1 +0 .*/full")
        assert ("31" in terminal.colours()) == colour
        assert "1" in terminal.colours()


def test_an_unknown_terminal_is_one_line(sockdir: Path) -> None:
    terminal = Terminal(sockdir, sockdir / "none", "TERM=no-such-terminal")
    try:
        lines = terminal.wait_for("ended 2")
        assert "unknown terminal: TERM=no-such-terminal; set TERM, or use --once" in lines[1]
    finally:
        terminal.close()


@pytest.mark.parametrize("ignored", [False, True])
def test_it_ends_with_its_terminal(sockdir: Path, *, ignored: bool) -> None:
    """Also where a parent has ignored SIGHUP: without a terminal, a read fails at once."""
    ignoring = ("--ignore-signal=HUP",) if ignored else ()
    terminal = Terminal(sockdir, sockdir / "none", *ignoring)
    try:
        terminal.wait_for("q quit")
        ended = os.pidfd_open(terminal.pid())
        terminal.hang_up()
        assert select.select([ended], [], [], DEADLINE)[0], "it goes on without a terminal"
        os.close(ended)
    finally:
        terminal.close()


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


def test_a_daemon_that_ends_is_missed_and_one_that_starts_is_shown(
    daemon: Daemon, sockdir: Path
) -> None:
    daemon.configure('[endpoints.s]\ntype = "stream"\n')
    daemon.start()
    terminal = Terminal(sockdir, daemon.runtime / "control.sock")
    try:
        terminal.wait_for(r"\nlocalechod 0\.(.*\n)+s +stream +listening")
        daemon.stop()
        lines = terminal.wait_for(r"\nlocalechod is not running: ")
        assert not any(line.startswith("s  ") for line in lines)
        daemon.start()
        terminal.wait_for(r"\nlocalechod 0\.(.*\n)+s +stream +listening")
    finally:
        terminal.close()


def test_a_daemon_that_hangs_is_told_and_an_interrupt_ends_it(
    daemon: Daemon, sockdir: Path, queue: socket.socket
) -> None:
    daemon.configure('[endpoints.s]\ntype = "stream"\n')
    daemon.start()
    terminal = Terminal(sockdir, daemon.runtime / "control.sock")
    try:
        terminal.wait_for(r"\nlocalechod 0\.")
        daemon.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
        lines = terminal.wait_for(r"\n.*no reply within 5 s")
        assert any("/queue" in line for line in lines)
        terminal.keys("C-c")
        terminal.wait_for("ended 130")
    finally:
        daemon.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
        terminal.close()


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
