"""A socket's file under attack while its endpoint serves: noticed at once, said, and made good."""

import getpass
import os
import shutil
import signal
import socket
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.harness import Daemon, fill_up, needs_root, receive, until

STREAM, DATAGRAM, SEQPACKET = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET
TYPES = {"stream": STREAM, "datagram": DATAGRAM, "seqpacket": SEQPACKET}
BACK = "INFO: a: listening on "


@pytest.fixture
def place(sockdir: Path) -> Path:
    """A directory that the daemon may write to, as any user."""
    place = sockdir / "p"
    place.mkdir()
    place.chmod(0o777)
    return place


def endpoint(path: Path, kind: str = "stream", keys: str = "") -> str:
    return f'[endpoints.a]\ntype = "{kind}"\nmode = "0666"\npath = "{path}"\n{keys}'


def lines(daemon: Daemon) -> list[str]:
    """Return what the log says about the endpoint since it listened first."""
    told = daemon.log.read_text(encoding="utf-8").splitlines()
    about = [line for line in told if line.startswith(("INFO: a: ", "WARNING: a: "))]
    return about[1:]


def hint(daemon: Daemon) -> str:
    """Return what `status` says helps, on one line."""
    return " ".join(daemon.ctl("status", "a").stdout.partition("hint:")[2].split())


def received(other: socket.socket, kind: int) -> bytes:
    """Return what came first; the daemon has knocked to learn who is there, and sent nothing."""
    if kind == DATAGRAM:
        return other.recv(100)
    while True:
        with other.accept()[0] as server:
            data = server.recv(100)
            if data:
                return data


def ask(daemon: Daemon, path: Path, kind: int = STREAM) -> bytes:
    with daemon.connect(str(path), kind) as sock:
        if kind == DATAGRAM:
            sock.bind("")
        sock.send(b"x\n")
        return sock.recv(100)


def replace_by_file(path: Path) -> None:
    other = path.with_name("other")
    other.touch()
    other.rename(path)


def replace_by_stale_socket(path: Path) -> None:
    other = path.with_name("other")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(other))
    other.chmod(0o666)
    other.rename(path)


ATTACKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "removed": (Path.unlink, "its file was removed; bound again"),
    "renamed": (lambda path: path.rename(path.with_name("b")), "its file was renamed; bound again"),
    "stale": (replace_by_stale_socket, "its file was replaced; bound again"),
}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_removed_socket_is_bound_again_and_connections_stay(
    either: Daemon, place: Path, kind: str, attack: str
) -> None:
    path, number = place / "a", TYPES[kind]
    act, told = ATTACKS[attack]
    either.configure(endpoint(path, kind))
    either.start()
    with either.connect(str(path), number) as before:
        if kind == "datagram":
            before.bind("")
        act(path)
        until(lambda: len(lines(either)) == 2)
        assert lines(either) == [f"WARNING: a: degraded: {told}", f"{BACK}{path}"]
        assert ask(either, path, number) == b"Hi, x\n"
        if kind != "datagram":  # a datagram client follows no rename
            before.send(b"x\n")
            assert before.recv(100) == b"Hi, x\n"
    row = either.row("a")
    assert (row["state"], row["restarts_total"], row["error"]) == ("listening", 1, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert either.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("kind", ["stream", "seqpacket"])
def test_a_file_that_is_moved_away_and_back_is_replaced_though_clients_came_through_it(
    daemon: Daemon, place: Path, kind: str
) -> None:
    path, number = place / "a", TYPES[kind]
    daemon.configure(endpoint(path, kind))
    daemon.start()
    with daemon.connect(str(path), number) as before:
        path.rename(place / "b")
        until(path.exists)
        (place / "b").rename(path)
        # Twice, or once more where the first bind was under way when the old file came back.
        until(lambda: daemon.row("a")["restarts_total"] >= 2)
        until(lambda: daemon.row("a")["state"] == "listening")
        assert ask(daemon, path, number) == b"Hi, x\n"
        before.send(b"x\n")
        assert before.recv(100) == b"Hi, x\n"


def test_a_client_in_the_old_backlog_is_served_by_the_new_socket(
    daemon: Daemon, place: Path
) -> None:
    path = place / "a"
    daemon.configure(endpoint(path, keys="max_connections_per_user = 0\n"))
    daemon.start()
    os.kill(daemon.pid, signal.SIGSTOP)
    with ExitStack() as stack:
        # More than are accepted in the turn before the removal is noticed.
        waiting = [stack.enter_context(daemon.connect(str(path))) for _ in range(500)]
        path.unlink()
        os.kill(daemon.pid, signal.SIGCONT)
        until(path.exists)
        for sock in waiting:
            sock.sendall(b"x\n")
            assert receive(sock, 6) == b"Hi, x\n"


def test_at_the_end_nothing_is_bound_again_nor_tried_again(daemon: Daemon, place: Path) -> None:
    path, late = place / "a", place / "x" / "late"
    also = f'[endpoints.late]\ntype = "stream"\npath = "{late}"\n'
    daemon.configure(endpoint(path) + also, service="drain_timeout = 1.0")
    daemon.start()
    with daemon.connect(str(path)) as stuck:
        fill_up([stuck], [b"x\n" * 5000], lambda: ask(daemon, path))
        os.kill(daemon.pid, signal.SIGTERM)
        until(lambda: not path.exists())
        late.parent.mkdir()  # what it has been waiting for
        late.parent.chmod(0o777)
        assert daemon.stop() == 0  # it has waited for the client, and had its turns
    assert not path.exists()
    assert lines(daemon) == [f"INFO: a: stopped on {path}"]
    assert "late: listening" not in daemon.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", TYPES)
def test_a_replacement_that_answers_is_left_alone_and_named_until_it_goes(
    daemon: Daemon, place: Path, kind: str
) -> None:
    path, number = place / "a", TYPES[kind]
    daemon.configure(endpoint(path, kind))
    daemon.start()
    with socket.socket(socket.AF_UNIX, number) as other:
        other.bind(str(place / "other"))
        (place / "other").chmod(0o666)
        if number != DATAGRAM:
            other.listen()
        (place / "other").rename(path)
        until(lambda: daemon.row("a")["state"] == "degraded")
        (line,) = lines(daemon)
        assert line.startswith(
            "WARNING: a: degraded: its file was replaced, and bind failed: "
            "Address already in use (98); "
        )
        assert f"pid {os.getpid()} " in line or f"user {getpass.getuser()}" in line
        assert "next attempt in" in hint(daemon)
        with daemon.connect(str(path), number) as client:
            client.send(b"for the other")
            assert received(other, number) == b"for the other"
    path.unlink()
    until(lambda: len(lines(daemon)) == 2)
    assert ask(daemon, path, number) == b"Hi, x\n"


def test_a_file_that_is_no_socket_is_left_alone_until_ours_is_renamed_back(
    daemon: Daemon, place: Path
) -> None:
    path = place / "a"
    daemon.configure(endpoint(path))
    daemon.start()
    inode = path.stat().st_ino
    path.rename(place / "kept")  # noticed, and bound again
    until(lambda: len(lines(daemon)) == 2)
    assert path.stat().st_ino != inode
    ours = path.stat().st_ino
    os.link(path, place / "ours")
    replace_by_file(path)
    until(lambda: daemon.row("a")["state"] == "degraded")
    assert "a regular file has that path" in lines(daemon)[-1]
    (place / "ours").rename(path)
    until(lambda: len(lines(daemon)) == 4)
    assert path.stat().st_ino == ours
    assert ask(daemon, path) == b"Hi, x\n"


def test_a_changed_mode_is_put_back(either: Daemon, place: Path) -> None:
    path = place / "a"
    either.configure(endpoint(path))
    either.start()
    path.chmod(0o600)
    until(lambda: len(lines(either)) == 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert lines(either) == [
        "WARNING: a: degraded: its file was given mode 0600 instead of 0666; put back",
        f"{BACK}{path}",
    ]


@needs_root
def test_an_owner_that_only_root_could_put_back_is_told_and_cured_by_root(
    daemon: Daemon, place: Path
) -> None:
    path = place / "a"
    daemon.configure(endpoint(path))
    daemon.start()
    before = path.stat()
    os.chown(path, 5, 60)
    until(lambda: daemon.row("a")["state"] == "degraded")
    assert "owner games instead of nobody and group games" in daemon.row("a")["error"]
    assert "chown failed: Operation not permitted (1)" in daemon.row("a")["error"]
    os.chown(path, before.st_uid, before.st_gid)
    until(lambda: daemon.row("a")["state"] == "listening")
    assert len(lines(daemon)) == 2


@needs_root
def test_a_socket_that_root_bound_is_not_bound_again_but_recovers_when_renamed_back(
    daemon: Daemon, sockdir: Path
) -> None:
    place = sockdir / "roots"
    place.mkdir(mode=0o755)
    path = place / "a"
    daemon.configure(endpoint(path, keys='bind_as = "root"\n'))
    daemon.start()
    path.rename(place / "b")
    until(lambda: daemon.row("a")["state"] == "degraded")
    row = daemon.row("a")
    assert row["error"] == "its file was renamed"
    assert "only root can bind it again: systemctl restart localechod" in hint(daemon)
    assert ask(daemon, place / "b") == b"Hi, x\n"
    (place / "b").rename(path)
    until(lambda: daemon.row("a")["state"] == "listening")
    assert ask(daemon, path) == b"Hi, x\n"
    assert daemon.row("a")["restarts_total"] == 0


def remove(directory: Path) -> None:
    """Remove a directory in which the daemon binds again between two of our steps."""

    def removed() -> bool:
        shutil.rmtree(directory, ignore_errors=True)
        return not directory.exists()

    until(removed)


def test_a_directory_that_is_moved_away_and_made_again_gets_the_socket_again(
    daemon: Daemon, place: Path
) -> None:
    path = place / "deep" / "er" / "a"
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o777)
    daemon.configure(endpoint(path))
    daemon.start()
    (place / "deep").rename(place / "away")
    until(lambda: daemon.row("a")["state"] == "degraded")
    (line,) = lines(daemon)
    assert "its file was moved with its directory, and bind failed: No such file" in line
    assert f"directory {place / 'deep'} does not exist: create it" in line
    (place / "deep").mkdir()
    path.parent.mkdir()
    path.parent.chmod(0o777)
    until(lambda: daemon.row("a")["state"] == "listening")
    assert ask(daemon, path) == b"Hi, x\n"
    remove(place / "deep")
    until(lambda: daemon.row("a")["state"] == "degraded")
    (place / "deep").mkdir()
    path.parent.mkdir()
    path.parent.chmod(0o777)
    until(lambda: daemon.row("a")["state"] == "listening")


def test_a_fight_over_the_path_is_slowed_down(daemon: Daemon, place: Path) -> None:
    path = place / "a"
    daemon.configure(endpoint(path))
    daemon.start()
    for told in (2, 4, 6, 8):
        path.unlink()
        until(lambda told=told: len(lines(daemon)) == told)  # type: ignore[misc]
    path.unlink()
    until(lambda: len(lines(daemon)) == 10)
    assert lines(daemon)[6:] == [
        "WARNING: a: degraded: its file was removed; bound again",
        f"{BACK}{path}",
        "WARNING: a: degraded: its file was removed",  # not at once any more
        f"{BACK}{path}",
    ]
    assert daemon.row("a")["restarts_total"] == 5


def test_a_path_that_is_removed_while_it_is_being_bound_comes_back_all_the_same(
    daemon: Daemon, place: Path
) -> None:
    path = place / "a"
    daemon.configure(endpoint(path))
    daemon.start()
    for _ in range(3):
        path.unlink()
        until(path.exists)  # it is bound, and maybe not open yet
    until(
        lambda: lines(daemon)[-1:] == [f"{BACK}{path}"] and daemon.row("a")["state"] == "listening"
    )
    until(path.exists)
    assert ask(daemon, path) == b"Hi, x\n"
