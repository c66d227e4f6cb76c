"""A daemon that gets no more memory: a connection that finds none ends, all others go on."""

import pwd
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.harness import DEADLINE, SERVICE_USER, Daemon, needs_root, receive

MIB = 1 << 20


def limit_memory(daemon: Daemon, limit: int | str) -> None:
    """Set RLIMIT_AS of the running daemon, in bytes, as its own user; see prlimit(2)."""
    nobody = pwd.getpwnam(SERVICE_USER)
    words = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    subprocess.run([*words, "prlimit", f"--pid={daemon.pid}", f"--as={limit}:"], check=True)


def address_space(pid: int) -> int:
    """Return the bytes that RLIMIT_AS counts: VmSize of proc_pid_status(5)."""
    words = Path(f"/proc/{pid}/status").read_text(encoding="ascii").split()
    return int(words[words.index("VmSize:") + 1]) * 1024


def feed(path: str) -> None:
    """Send a line without end, until the daemon closes the connection."""
    with socket.socket(socket.AF_UNIX) as sock, suppress(BrokenPipeError, ConnectionResetError):
        sock.settimeout(DEADLINE)
        sock.connect(path)
        for _ in range(16 * MIB // 65536):
            sock.sendall(b"y" * 65536)
        raise AssertionError("it was not closed")


def is_answered(daemon: Daemon) -> bool:
    """Whether a new connection is answered. It is closed instead if it finds no memory either."""
    with daemon.connect("quiet") as newcomer, suppress(BrokenPipeError, ConnectionResetError):
        newcomer.sendall(b"x\n")
        return receive(newcomer, 6) == b"Hi, x\n"
    return False


@needs_root
@pytest.mark.parametrize("stop_under_limit", [False, True], ids=["lifted", "stopped"])
def test_without_memory_for_a_line_its_connection_ends_and_everything_else_goes_on(
    either: Daemon, stop_under_limit: bool
) -> None:
    either.configure(
        '[defaults]\nmode = "0666"\n[endpoints.quiet]\ntype = "stream"\n'
        '[endpoints.big]\ntype = "stream"\nmax_message = 16777216\n'
    )
    either.start()
    with either.connect("quiet") as alice, ThreadPoolExecutor(1) as pool:
        alice.sendall(b"x\n")
        assert receive(alice, 6) == b"Hi, x\n"
        limit_memory(either, address_space(either.pid) + 8 * MIB)  # half a line
        lines = [pool.submit(feed, either.path("big")) for _ in range(12)]
        tries = answers = 0
        while not all(line.done() for line in lines):
            alice.sendall(b"x\n")
            assert receive(alice, 6) == b"Hi, x\n"
            tries += 1
            answers += is_answered(either)
        for line in lines:
            line.result()
        assert answers > tries / 2
        if not stop_under_limit:
            limit_memory(either, "unlimited")
            assert either.errors("big") == {"internal_error": 12}
            closed = either.errors("quiet")
            assert closed.pop("internal_error", 0) >= tries - answers
            assert not closed
    assert either.stop() == 0
    lines_logged = either.log.read_text(encoding="utf-8").splitlines()
    # On a busy machine this takes longer than the ten seconds in which it is logged once.
    first, *later = [line for line in lines_logged if "big: internal error" in line]
    assert first == "ERROR: big: internal error"
    assert all("more since the last line" in line for line in later)
