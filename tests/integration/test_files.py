"""What stands at an endpoint's path: before it is bound, while it serves, and at the end."""

import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.integration.harness import Daemon, receive, until

STREAM, DATAGRAM, SEQPACKET = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET
TYPES = {"stream": STREAM, "datagram": DATAGRAM, "seqpacket": SEQPACKET}
OK = '[endpoints.ok]\ntype = "stream"\nmode = "0666"\n'
IN_THE_WAY = "bind failed: Address already in use (98)"
# As root the daemon sees whose every socket is, as long as it has not given that up.
ROOT = 'bind_as = "root"\n' if os.geteuid() == 0 else ""


@pytest.fixture
def place(sockdir: Path) -> Path:
    """A directory that the daemon may write to, whoever it has become."""
    place = sockdir / "p"
    place.mkdir()
    place.chmod(0o777)
    return place


def endpoint(name: str, path: Path, kind: str = "stream", keys: str = "") -> str:
    return f'[endpoints.{name}]\ntype = "{kind}"\nmode = "0666"\npath = "{path}"\n{keys}'


def log_of(daemon: Daemon, name: str) -> str:
    """Return why an endpoint has failed, as the log tells it, with the remedy."""
    lines = daemon.log.read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(f"WARNING: {name}: failed: "))
    return line


def is_served(daemon: Daemon, path: str, kind: int = STREAM) -> bool:
    with daemon.connect(path, kind) as sock:
        if kind == DATAGRAM:
            sock.bind("")
        sock.send(b"x\n")
        return sock.recv(100) == b"Hi, x\n"


@contextmanager
def holding(path: Path, kind: int, *, backlog: int | None) -> Iterator[socket.socket]:
    """Hold a socket at a path, as another server does; it listens unless `backlog` is None."""
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(str(path))
        path.chmod(0o666)
        if backlog is not None:
            sock.listen(backlog)
        yield sock


@pytest.mark.parametrize("kind", TYPES)
def test_a_stale_socket_is_replaced(daemon: Daemon, place: Path, kind: str) -> None:
    paths = [place / "a", place / "b", place / "c"]
    for path, left_by in zip(paths, TYPES.values(), strict=True):
        with holding(path, left_by, backlog=None):
            pass
    daemon.configure("".join(endpoint(path.name, path, kind) for path in paths))
    daemon.start()
    assert all(is_served(daemon, str(path), TYPES[kind]) for path in paths)


def test_what_a_killed_daemon_left_is_replaced(daemon: Daemon) -> None:
    daemon.configure(OK)
    daemon.start()
    daemon.kill()
    assert Path(daemon.path("ok")).is_socket()
    assert is_served(daemon.start(), daemon.path("ok"))


def test_a_living_socket_is_never_taken_over_and_the_reason_names_its_process(
    daemon: Daemon, place: Path
) -> None:
    with ExitStack() as stack:

        def occupy(name: str, kind: int, backlog: int | None) -> socket.socket:
            return stack.enter_context(holding(place / name, kind, backlog=backlog))

        others = {
            "stream": occupy("stream", STREAM, 5),
            "seqpacket": occupy("seqpacket", SEQPACKET, 5),
            "full": occupy("full", STREAM, 0),
            "unready": occupy("unready", STREAM, None),
            "datagram": occupy("datagram", DATAGRAM, None),
        }
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX, STREAM))
        waiting.connect(str(place / "full"))
        before = {name: (place / name).lstat() for name in others}
        place.chmod(0o1777)  # root binds in no directory that every user may change
        daemon.configure(
            OK + "".join(endpoint(name, place / name, "stream", ROOT) for name in others)
        )
        daemon.start()
        rows = daemon.rows()
        for name in others:
            assert (rows[name]["state"], rows[name]["error"]) == ("failed", IN_THE_WAY)
            assert f"pid {os.getpid()} (" in log_of(daemon, name)
            assert (place / name).lstat() == before[name]
        assert is_served(daemon, daemon.path("ok"))
        # Nobody has been disturbed: each serves the next client that comes.
        others["unready"].listen()
        for name in ("stream", "seqpacket", "unready"):
            kind = SEQPACKET if name == "seqpacket" else STREAM
            with daemon.connect(str(place / name), kind) as client:
                client.send(b"for the other")
                with others[name].accept()[0] as accepted:
                    assert accepted.recv(100) == b"for the other"
        with daemon.connect(str(place / "datagram"), DATAGRAM) as client:
            client.send(b"for the other")
            assert others["datagram"].recv(100) == b"for the other"
        others["full"].accept()[0].close()
        daemon.stop()
        assert all((place / name).is_socket() for name in others)


def test_after_the_drop_it_is_not_taken_over_either(daemon: Daemon, place: Path) -> None:
    with (
        holding(place / "a", STREAM, backlog=5),
        holding(place / "d", DATAGRAM, backlog=None),
        holding(place / "u", STREAM, backlog=None),
    ):
        daemon.configure(OK + "".join(endpoint(name, place / name) for name in "adu"))
        daemon.start()
        rows = daemon.rows()
        assert {rows[name]["error"] for name in "adu"} == {IN_THE_WAY}
        assert f"pid {os.getpid()} (" in log_of(daemon, "a")  # a listener tells everyone
        assert {path.name for path in place.iterdir()} == {"a", "d", "u"}


OBSTACLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "file": (lambda path: path.write_text("precious", encoding="utf-8"), "a regular file"),
    "directory": (lambda path: path.mkdir(), "a directory"),
    "link": (lambda path: path.symlink_to("file"), "a symbolic link"),
    "dangling": (lambda path: path.symlink_to("nothing"), "a symbolic link"),
    "fifo": (os.mkfifo, "a FIFO"),
}


@pytest.mark.parametrize("keys", [ROOT, ""] if ROOT else [""], ids=lambda keys: keys[11:15])
def test_what_is_no_socket_is_refused_and_left_alone(
    daemon: Daemon, place: Path, keys: str
) -> None:
    place.chmod(0o1777)  # root binds in no directory that every user may change
    for name, (make, _) in OBSTACLES.items():
        make(place / name)
    before = {path.name: path.lstat() for path in place.iterdir()}
    daemon.configure(
        OK + "".join(endpoint(name, place / name, "stream", keys) for name in OBSTACLES)
    )
    daemon.start()
    rows = daemon.rows()
    for name, (_, what) in OBSTACLES.items():
        assert (rows[name]["state"], rows[name]["error"]) == ("failed", IN_THE_WAY)
        assert f"{what} has that path" in log_of(daemon, name)
    assert is_served(daemon, daemon.path("ok"))
    # Out of the way, it takes a start by hand and nothing else.
    (place / "dangling").unlink()
    del before["dangling"]
    if not keys:
        assert daemon.ctl("start", "dangling").returncode == 0
        assert is_served(daemon, str(place / "dangling"))
    assert daemon.stop() == 0
    assert {path.name: path.lstat() for path in place.iterdir()} == before
    assert (place / "file").read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("by_hand", [True, False])
def test_a_replacement_from_outside_stays_at_the_end(
    daemon: Daemon, place: Path, kind: str, *, by_hand: bool
) -> None:
    daemon.configure(OK + endpoint("a", place / "a", kind) + endpoint("b", place / "b", kind))
    daemon.start()
    with holding(place / "other", TYPES[kind], backlog=None):
        (place / "other").rename(place / "a")
        if by_hand:
            assert daemon.ctl("stop", "a", "b").returncode == 0
        else:
            assert daemon.stop() == 0
        assert [path.name for path in place.iterdir()] == ["a"]  # b was its own


def test_a_socket_whose_directory_was_renamed_is_still_removed(daemon: Daemon, place: Path) -> None:
    daemon.configure(OK + endpoint("a", place / "a"))
    daemon.start()
    moved = place.rename(place.parent / "moved")
    assert is_served(daemon, str(moved / "a"))
    assert daemon.stop() == 0
    assert list(moved.iterdir()) == []


def test_unlinked_while_serving_its_connections_go_on_and_a_restart_brings_it_back(
    daemon: Daemon, place: Path
) -> None:
    daemon.configure(endpoint("a", place / "a"))
    daemon.start()
    with daemon.connect(str(place / "a")) as sock:
        (place / "a").unlink()
        sock.sendall(b"x\n")
        assert receive(sock, 6) == b"Hi, x\n"
        assert daemon.ctl("restart", "a").returncode == 0
        assert receive(sock, 1) == b""
    assert is_served(daemon, str(place / "a"))
    status = (place / "a").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_size) == (0o666, 0)
    until(lambda: daemon.row("a")["connections"] == 0)
