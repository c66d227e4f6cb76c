"""Connecting: every type, the deadline, and the reason for every refusal."""

import errno
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import localechod
from localechod.errors import SocketError
from localechod.localsocket import connect as connect_module
from localechod.localsocket.address import Address
from localechod.localsocket.connect import Connected, connect
from tests.integration.harness import needs_root
from tests.unit.elsewhere import far_server

SOURCE = str(Path(localechod.__file__).parents[1])
TYPES = [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM]


def to(path: Path | str, type_: int | None = None, timeout: float = 5.0) -> Connected:
    return connect(Address.parse(str(path)), type_, timeout)


def refused(path: Path | str, type_: int | None = None, timeout: float = 5.0) -> SocketError:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(SocketError) as caught:
        to(path, type_, timeout)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    error = caught.value
    if error.action == "connect":
        assert str(error).startswith(f"connect failed: {os.strerror(error.errno)} ({error.errno})")
    return error


@contextmanager
def server(path: Path | str, type_: int, backlog: int = 5) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, type_) as sock:
        sock.bind(Address.parse(str(path)).sockaddr)
        if type_ != socket.SOCK_DGRAM:
            sock.listen(backlog)
        sock.settimeout(10)
        yield sock


@pytest.mark.parametrize("known", [True, False], ids=["told", "found out"])
@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
@pytest.mark.parametrize("type_", TYPES)
def test_a_message_is_sent_and_its_reply_received(
    sockdir: Path, type_: int, abstract: bool, known: bool
) -> None:
    target = f"@{sockdir}" if abstract else sockdir / "s"
    with server(target, type_) as sock, to(target, type_ if known else None) as client:
        assert client.type == client.sock.type == type_
        assert client.sock.gettimeout() is None
        assert client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16) == bytes(16)
        client.sock.send(b"hello")
        if type_ == socket.SOCK_DGRAM:
            message, sender = sock.recvfrom(99)
            sock.sendto(message, sender)
        else:
            accepted, _ = sock.accept()
            with accepted:
                accepted.send(accepted.recv(99))
        client.sock.settimeout(10)
        assert client.sock.recv(99) == b"hello"


def test_finding_the_type_does_not_disturb_the_server(sockdir: Path) -> None:
    with server(sockdir / "s", socket.SOCK_SEQPACKET) as sock, to(sockdir / "s"):
        sock.accept()[0].close()
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.accept()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that every server is in another network namespace."""
    monkeypatch.setattr(connect_module, "_bind_abstract", lambda _: False)


def answered(client: Connected, sock: socket.socket) -> object:
    """Have a server reply to a datagram; return the address that it replied to."""
    client.sock.send(b"hello")
    message, sender = sock.recvfrom(99)
    sock.sendto(message, sender)
    client.sock.settimeout(10)
    assert client.sock.recv(99) == b"hello"
    return sender


def test_in_the_servers_network_namespace_the_reply_address_is_abstract(
    sockdir: Path,
) -> None:
    with server(sockdir / "s", socket.SOCK_DGRAM) as sock, to(sockdir / "s") as client:
        name = answered(client, sock)
        assert isinstance(name, bytes)
        assert name.startswith(b"\0")


@needs_root
def test_in_another_network_namespace_the_reply_address_is_a_path(sockdir: Path) -> None:
    with far_server(sockdir / "s") as sock, to(sockdir / "s") as client:
        assert Path(str(answered(client, sock))).is_socket()


def test_without_the_kernel_list_the_reply_address_is_a_path(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_inode(_: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("localechod.localsocket.diag.of_inode", of_inode)
    with server(sockdir / "s", socket.SOCK_DGRAM) as sock, to(sockdir / "s") as client:
        assert Path(str(answered(client, sock))).is_socket()


@pytest.mark.usefixtures("far")
def test_the_path_of_a_reply_address_is_removed_at_close(sockdir: Path) -> None:
    with server(sockdir / "s", socket.SOCK_DGRAM):
        client = to(sockdir / "s")
        reply = Path(client.sock.getsockname())
        assert reply.is_socket()
        assert reply.parent.stat().st_mode & 0o777 == 0o711
        assert reply.parent.stat().st_uid == os.geteuid()
        client.close()
        assert not reply.parent.exists()
        client.close()


@pytest.mark.parametrize("near", [True, False], ids=["abstract", "path"])
def test_only_the_server_can_send_to_a_datagram_client(
    sockdir: Path, request: pytest.FixtureRequest, near: bool
) -> None:
    if not near:
        request.getfixturevalue("far")
    with (
        server(sockdir / "s", socket.SOCK_DGRAM),
        to(sockdir / "s") as client,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger,
        pytest.raises(PermissionError),
    ):
        stranger.sendto(b"forged", client.sock.getsockname())


def as_nobody(code: str, *arguments: object, pass_fds: Sequence[int] = ()) -> str:
    """Run code as nobody, in a process that began as root and imported everything before."""
    begin = """
        import os, socket, sys
        from localechod.errors import SocketError
        from localechod.localsocket.address import Address
        from localechod.localsocket.connect import connect, import_all
        import_all()
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        def refused(path):
            try:
                connect(Address.parse(path), None, 5.0)
            except SocketError as error:
                return error
            raise AssertionError(path)
    """
    return subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(begin) + textwrap.dedent(code),
            *map(str, arguments),
        ],
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=30,
        pass_fds=pass_fds,
    ).stdout


@needs_root
@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_server_that_runs_as_another_user_can_reply(sockdir: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with server(sockdir / "s", socket.SOCK_DGRAM) as sock, to(sockdir / "s") as client:
            client.sock.send(b"")
            _, sender = sock.recvfrom(1)
            as_nobody(
                f"socket.socket(fileno={sock.fileno()}).sendto(b'answer', {sender!r})",
                pass_fds=[sock.fileno()],
            )
            client.sock.settimeout(10)
            assert client.sock.recv(99) == b"answer"
    finally:
        os.umask(before)


@contextmanager
def full(path: Path) -> Iterator[socket.socket]:
    """Serve with a full backlog: a backlog of 0 holds one client."""
    with server(path, socket.SOCK_STREAM, backlog=0) as sock, to(path):
        yield sock


def test_a_full_backlog_is_given_up_at_the_deadline_and_not_before(sockdir: Path) -> None:
    with full(sockdir / "s"):
        begin = time.monotonic()
        error = refused(sockdir / "s", timeout=0.2)
        assert 0.2 <= time.monotonic() - begin < 5
    assert error.errno == errno.EAGAIN
    assert error.hint.startswith("the backlog is full")


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_a_timeout_of_0_means_one_try(sockdir: Path, timeout: float) -> None:
    with full(sockdir / "s"):
        assert refused(sockdir / "s", timeout=timeout).errno == errno.EAGAIN
    with server(sockdir / "t", socket.SOCK_STREAM):
        to(sockdir / "t", timeout=timeout).close()


def test_space_in_the_backlog_is_used_at_once(sockdir: Path) -> None:
    with full(sockdir / "s") as sock:
        clients: list[Connected] = []
        waiting = threading.Thread(target=lambda: clients.append(to(sockdir / "s", timeout=30)))
        waiting.start()
        sock.accept()[0].close()
        waiting.join(10)
        assert clients
        clients[0].close()


def test_a_signal_during_the_wait_is_not_taken_for_success(sockdir: Path) -> None:
    # Python's own connect returns without an error here, on a socket that is not connected.
    rang: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: rang.append(number))
    try:
        with full(sockdir / "s"):
            signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
            error = refused(sockdir / "s", timeout=0.2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rang
    assert error.errno == errno.EAGAIN


def test_an_impossible_type_fails_at_socket(sockdir: Path) -> None:
    assert refused(sockdir / "s", 99).action == "socket"


@pytest.mark.usefixtures("far")
def test_a_datagram_client_without_a_reply_address_is_an_error(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect_module, "_REPLY_ROOT", str(sockdir / "none"))
    with server(sockdir / "s", socket.SOCK_DGRAM):
        error = refused(sockdir / "s")
    assert (error.action, error.errno) == ("bind", errno.ENOENT)
    assert error.hint == f"directory {sockdir}/none does not exist: create it"


@pytest.mark.usefixtures("far")
def test_a_failed_datagram_client_leaves_no_file(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chmod(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(connect_module, "_REPLY_ROOT", str(sockdir))
    monkeypatch.setattr(Path, "chmod", chmod)
    with server(sockdir / "s", socket.SOCK_DGRAM):
        assert refused(sockdir / "s").action == "bind"
    assert [each.name for each in sockdir.iterdir()] == ["s"]


def test_the_hint_for_a_missing_file(sockdir: Path) -> None:
    (sockdir / "link").symlink_to("nowhere")
    (sockdir / "file").touch()
    for below, number, hint in (
        ("s", errno.ENOENT, "the file does not exist: the server is not running"),
        ("none/s", errno.ENOENT, f"directory {sockdir}/none does not exist"),
        ("link", errno.ENOENT, "it is a symbolic link to a missing target"),
        ("file/s", errno.ENOTDIR, f"{sockdir}/file is a regular file, not a directory"),
    ):
        error = refused(sockdir / below)
        assert error.errno == number
        assert error.hint.startswith(hint)
    assert refused(sockdir / "s").exit_status == 7


def test_the_message_begins_as_that_of_a_c_program(sockdir: Path) -> None:
    error = refused(sockdir / "s")
    assert str(error).startswith(
        f"connect failed: No such file or directory (2): {sockdir}/s; the file does not exist"
    )


def test_the_hint_for_a_file_that_is_not_a_socket(sockdir: Path) -> None:
    (sockdir / "file").touch()
    os.mkfifo(sockdir / "fifo")
    for name, hint in (
        ("file", "it is a regular file, not a socket"),
        ("fifo", "it is a FIFO, not a socket"),
    ):
        error = refused(sockdir / name)
        assert (error.errno, error.hint) == (errno.ECONNREFUSED, hint)


def test_the_hint_for_a_socket_without_a_listener(sockdir: Path) -> None:
    (sockdir / "link").symlink_to("s")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "s"))
        for name in ("s", "link"):
            error = refused(sockdir / name)
            assert error.errno == errno.ECONNREFUSED
            assert error.hint.startswith("the server holds it, but does not listen")
    error = refused(sockdir / "s")
    assert error.errno == errno.ECONNREFUSED
    assert error.hint.startswith("no process listens on it any more")
    assert error.exit_status == 7


def test_the_hint_for_a_refused_abstract_name(sockdir: Path) -> None:
    error = refused(f"@{sockdir}")
    assert error.errno == errno.ECONNREFUSED
    assert error.hint == "no socket is bound to that name in this network namespace"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(b"\0" + bytes(sockdir))
        assert refused(f"@{sockdir}").hint.startswith("the server holds it, but does not listen")


@pytest.mark.parametrize(
    ("there", "asked", "hint"),
    [
        (socket.SOCK_STREAM, socket.SOCK_DGRAM, "it is a stream socket"),
        (socket.SOCK_DGRAM, socket.SOCK_STREAM, "it is a datagram socket"),
        (socket.SOCK_SEQPACKET, socket.SOCK_STREAM, "it is a seqpacket socket"),
    ],
)
def test_the_hint_for_another_socket_type(sockdir: Path, there: int, asked: int, hint: str) -> None:
    with server(sockdir / "s", there), server(f"@{sockdir}", there):
        by_path, abstract = refused(sockdir / "s", asked), refused(f"@{sockdir}", asked)
    assert (by_path.errno, by_path.hint) == (errno.EPROTOTYPE, hint)
    assert abstract.errno == errno.ECONNREFUSED
    assert abstract.hint == f"{hint}, and each socket type has its own abstract names"


def test_the_hint_for_a_datagram_socket_with_another_peer(sockdir: Path) -> None:
    with (
        server(sockdir / "s", socket.SOCK_DGRAM) as sock,
        server(sockdir / "chosen", socket.SOCK_DGRAM),
    ):
        sock.connect(str(sockdir / "chosen"))
        error = refused(sockdir / "s")
    assert error.errno == errno.EPERM
    assert "is connected to another peer" in error.hint
    assert error.exit_status == 4


@needs_root
def test_the_hint_for_a_denied_connect_names_the_missing_permission(sockdir: Path) -> None:
    (sockdir / "closed").mkdir(mode=0o700)
    with (
        server(sockdir / "s", socket.SOCK_STREAM),
        server(sockdir / "closed" / "s", socket.SOCK_STREAM),
    ):
        (sockdir / "s").chmod(0o755)
        said = as_nobody(
            """
            for below in ("s", "closed/s"):
                error = refused(f"{sys.argv[1]}/{below}")
                print(error)
                assert error.exit_status == 4
            """,
            sockdir,
        ).splitlines()
    socket_file, directory = said
    assert socket_file == (
        f"connect failed: Permission denied (13): {sockdir}/s; connect needs write permission, "
        "which user nobody does not have (srwxr-xr-x root root)"
    )
    assert directory == (
        f"connect failed: Permission denied (13): {sockdir}/closed/s; user nobody may not enter "
        f"{sockdir}/closed (drwx------ root root)"
    )
