"""An ordinary user against the service: others are served, and memory and log stay small."""

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.harness import (
    CHECKOUT,
    DEADLINE,
    SERVICE_USER,
    Daemon,
    needs_root,
    receive,
    resident,
)

GAMES, GAMES_GROUP = 5, 60  # an ordinary user of every Debian
MIB = 1 << 20

# Sends frames to the control socket over and over, on many connections, and connects again where it
# is refused. Its arguments: the socket, the kind of frame, how many times.
FLOOD = r"""
import socket, sys
path, kind, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])

def frame(kind, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, 4 * (kind == 1)]) + stream.to_bytes(
        4, "big") + payload

def text(index, value):  # a header that is not indexed: RFC 7541, 6.2.2
    return index + bytes([len(value)]) + value

HEADERS = b"\x83\x86" + text(b"\x04", b"/localechod.v1.Control/Status") + text(
    b"\x0f\x10", b"application/grpc")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0)
FRAMES = {
    "reset": lambda n: frame(1, n, HEADERS) + frame(3, n, b"\0\0\0\x08"),
    "ping": lambda _: frame(6, 0, b"12345678"),
    "settings": lambda _: frame(4, 0),
    "window": lambda _: frame(8, 0, b"\0\0\0\1"),
    "unknown": lambda _: frame(200, 0, b"x"),
    "connect": lambda _: b"",
}
sockets, streams = [None] * 16, [1] * 16
refused = sent = 0
for _ in range(turns):
    for at, sock in enumerate(sockets):
        try:
            if sock is None:
                sock = sockets[at] = socket.socket(socket.AF_UNIX)
                streams[at] = 1
                sock.settimeout(5)
                sock.connect(path)
                sock.send(PREFACE)
            sent += sock.send(b"".join(FRAMES[kind](streams[at] + 2 * n) for n in range(100)))
            streams[at] += 200
            if kind == "connect":
                raise OSError
            sock.setblocking(False)
            while sock.recv(65536):
                pass
            raise OSError
        except BlockingIOError:
            sock.settimeout(5)
        except OSError:
            refused += 1
            sockets[at] = None
            sock.close()
print(sent, refused)
"""


@needs_root
@pytest.mark.parametrize("kind", ["reset", "ping", "settings", "window", "unknown", "connect"])
def test_floods_of_frames_cost_the_others_nothing(daemon: Daemon, kind: str) -> None:
    daemon.configure('[endpoints.quiet]\ntype = "stream"\nmode = "0666"\n')
    daemon.start()
    before = resident(daemon.pid)
    control = str(daemon.runtime / "control.sock")
    words = ["setpriv", f"--reuid={GAMES}", f"--regid={GAMES_GROUP}", "--clear-groups"]
    words += [sys.executable, "-I", "-c", FLOOD, control, kind, "60"]
    answered = 0
    with (
        daemon.connect("quiet") as alice,
        subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.PIPE) as mallory,
    ):
        while mallory.poll() is None:
            alice.sendall(b"x\n")
            assert receive(alice, 6) == b"Hi, x\n"
            answered += 1
        assert mallory.returncode == 0
        assert mallory.stdout is not None
        sent, refused = map(int, mallory.stdout.read().split())
    assert refused > 0
    assert answered > 0
    assert sent > 0 or kind == "connect"
    assert resident(daemon.pid) - before < 32 * MIB
    assert daemon.ctl("status").returncode == 0  # root is not locked out
    lines = daemon.log.read_text(encoding="utf-8").splitlines()
    refusals = [line for line in lines if "control connection refused" in line]
    assert len(refusals) <= 3
    assert "refused: uid 5 " in refusals[0]


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
        while not all(line.done() for line in lines):
            alice.sendall(b"x\n")
            assert receive(alice, 6) == b"Hi, x\n"
            with either.connect("quiet") as another:
                another.sendall(b"x\n")
                assert receive(another, 6) == b"Hi, x\n"
        for line in lines:
            line.result()
        if not stop_under_limit:
            limit_memory(either, "unlimited")
            assert either.errors("big") == {"internal_error": 12}
            assert either.errors("quiet") == {}
    assert either.stop() == 0
    lines_logged = either.log.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines_logged if "internal error" in line] == [
        "ERROR: big: internal error"
    ]


# Exchanges a directory for a link to another place, and back, over and over, until it is killed. It
# says when it has begun.
SWAP = """
import os, sys
hers, there = sys.argv[1:]
os.symlink(there, f"{hers}/link")
print(flush=True)
while True:
    os.rename(f"{hers}/d", f"{hers}/real")
    os.rename(f"{hers}/link", f"{hers}/d")
    os.rename(f"{hers}/d", f"{hers}/link")
    os.rename(f"{hers}/real", f"{hers}/d")
"""


@pytest.fixture
def swapped(sockdir: Path) -> Iterator[Path]:
    """A directory that an ordinary user exchanges for a link to `there`, a directory of root's."""
    hers, there = sockdir / "hers", sockdir / "there"
    (hers / "d").mkdir(parents=True)
    there.mkdir()
    os.chown(hers, GAMES, GAMES_GROUP)
    os.chown(hers / "d", GAMES, GAMES_GROUP)
    words = ["setpriv", f"--reuid={GAMES}", f"--regid={GAMES_GROUP}", "--clear-groups"]
    words += [sys.executable, "-I", "-c", SWAP, str(hers), str(there)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as mallory:
        try:
            assert mallory.stdout is not None
            mallory.stdout.readline()
            yield hers / "d"
            assert mallory.poll() is None  # it went on all the time
        finally:
            mallory.kill()
    assert not list(there.iterdir())


@needs_root
def test_root_binds_in_no_directory_that_another_user_exchanges(
    daemon: Daemon, swapped: Path
) -> None:
    daemon.configure(
        '[endpoints.ok]\ntype = "stream"\nmode = "0666"\n'
        f'[endpoints.a]\ntype = "stream"\nbind_as = "root"\npath = "{swapped}/x.sock"\n'
    )
    for _ in range(5):
        daemon.start()
        row = daemon.row("a")
        assert row["state"] == "failed"
        assert row["error"].startswith(f"{swapped.parent} is not safe for a socket that root binds")
        assert daemon.row("ok")["state"] == "listening"
        assert daemon.stop() == 0
    assert "chown it to root and chmod go-w it, or choose" in daemon.log.read_text("utf-8")


@needs_root
def test_root_makes_no_runtime_directory_where_another_user_exchanges_directories(
    daemon: Daemon, swapped: Path
) -> None:
    daemon.configure('[endpoints.a]\ntype = "stream"\n')
    daemon.runtime = swapped / "run"
    for _ in range(5):
        refused = daemon.run()
        assert refused.returncode == 1
        assert refused.stderr == (
            f"{swapped.parent} is not safe for root to make a runtime directory: others than root "
            f"may write there (owner {GAMES}, mode 0755); name one with --runtime-dir whose parent "
            "directories belong to root, such as in /run\n"
        )


@needs_root
def test_root_still_binds_in_a_sticky_directory_for_everyone(daemon: Daemon, sockdir: Path) -> None:
    shared = sockdir / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    daemon.configure(
        f'[endpoints.a]\ntype = "stream"\nbind_as = "root"\nuser = "root"\nmode = "0666"\n'
        f'path = "{shared}/x.sock"\n'
    )
    daemon.start()
    with daemon.connect(f"{shared}/x.sock") as client:
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"
