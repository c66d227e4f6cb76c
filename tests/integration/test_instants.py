"""Owner and mode are exact at every instant, as seen by processes that do nothing but look."""

import errno
import os
import pwd
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localechod.accounts import group_name, user_name
from localechod.control.client import Client
from localechod.localsocket.hints import listing
from tests.integration.harness import SERVICE_USER, Daemon, needs_root

KINDS = {
    "stream": socket.SOCK_STREAM,
    "datagram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
}
RESTARTS = 200
GAMES = 5


@contextmanager
def watching(look: Callable[[], str], uid: int | None = None) -> Iterator[Callable[[], set[str]]]:
    """Have another process look again and again; yield what ends it and returns all it has seen.

    A process and not a thread: it looks on one core while the daemon works on the other.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        seen: set[str] = set()

        def tell(*_: object) -> None:
            os.write(writing, "\n".join(seen).encode())
            os._exit(0)

        signal.signal(signal.SIGTERM, tell)
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        while True:
            seen.add(look())
    os.close(writing)

    def end() -> set[str]:
        os.kill(pid, signal.SIGTERM)
        with os.fdopen(reading, "rb") as told:
            return set(told.read().decode().split("\n"))

    try:
        yield end
    finally:
        os.kill(pid, signal.SIGKILL)  # still ours until it is waited for, also if it has ended
        os.waitpid(pid, 0)


def listed(path: Path) -> str:
    """Return what `ls -l` would say of it at this moment."""
    try:
        return listing(path.lstat())
    except FileNotFoundError:
        return "absent"


def attempt(path: Path, kind: int) -> str:
    """Return what connect(2) says at this moment."""
    with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK) as sock:
        return errno.errorcode.get(sock.connect_ex(str(path)), "connected")


def restart(daemon: Daemon, times: int) -> None:
    """Restart the endpoint, one call after the other."""
    client = Client(str(daemon.runtime / "control.sock"))
    for _ in range(times):
        assert client.restart("a").state == "listening"


def owner() -> str:
    """Return the owner and group that the daemon's sockets have."""
    account = pwd.getpwnam(SERVICE_USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return f"{user_name(account.pw_uid)} {group_name(account.pw_gid)}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_socket_is_absent_closed_or_as_configured_and_nothing_else(
    daemon: Daemon, kind: str
) -> None:
    daemon.configure(f'[endpoints.a]\ntype = "{kind}"\nmode = "0626"\n')
    daemon.launcher = ["sh", "-c", 'umask 0; exec "$@"', "sh"]
    daemon.start()
    path = Path(daemon.path("a"))
    with watching(lambda: listed(path)) as seen:
        restart(daemon, RESTARTS)
        assert seen() <= {"absent", f"s--------- {owner()}", f"srw--w-rw- {owner()}"}


@needs_root
@pytest.mark.parametrize("kind", KINDS)
def test_a_user_without_permission_can_connect_at_no_instant(daemon: Daemon, kind: str) -> None:
    daemon.configure(f'[endpoints.a]\ntype = "{kind}"\nmode = "0600"\n')
    daemon.launcher = ["sh", "-c", 'umask 0; exec "$@"', "sh"]
    daemon.start()
    path = Path(daemon.path("a"))
    with watching(lambda: attempt(path, KINDS[kind]), uid=GAMES) as seen:
        restart(daemon, RESTARTS)
        assert seen() <= {"ENOENT", "EACCES"}


@needs_root
@pytest.mark.parametrize("kind", KINDS)
def test_a_socket_that_changes_its_owner_is_closed_until_it_has(
    daemon: Daemon, sockdir: Path, kind: str
) -> None:
    path = sockdir / "a"
    daemon.configure(
        f'[endpoints.a]\ntype = "{kind}"\nmode = "0660"\npath = "{path}"\n'
        'bind_as = "root"\nuser = "games"\ngroup = "staff"\n'
    )
    final = "srw-rw---- games staff"
    with watching(lambda: listed(path)) as seen:
        for _ in range(3):
            daemon.start()
            assert daemon.stop() == 0
        found = seen()
    # Only root could take it away again, so it stays, and the next start replaces it.
    assert final in found
    assert found <= {"absent", "s--------- root root", "s--------- games staff", final}
