"""What an endpoint tells of its client, and descriptors that come back."""

import array
import json
import os
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.integration.harness import DEADLINE, Daemon, as_user, descriptors, needs_root, until

STREAM, SEQPACKET, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM
KINDS = pytest.mark.parametrize(
    "kind", [STREAM, SEQPACKET, DATAGRAM], ids=["stream", "seqpacket", "datagram"]
)
NAMES = {STREAM: "stream", SEQPACKET: "seqpacket", DATAGRAM: "datagram"}


def start(daemon: Daemon, kind: socket.SocketKind, keys: str) -> None:
    configure(daemon, kind, keys)
    daemon.start()


def configure(daemon: Daemon, kind: socket.SocketKind, keys: str) -> None:
    daemon.configure(
        f'[endpoints.x]\ntype = "{NAMES[kind]}"\nmode = "0666"\nprefix = ""\n{keys}\n'
        '[endpoints.good]\ntype = "stream"\nmode = "0666"\n'
    )


def connect(daemon: Daemon, kind: socket.SocketKind, name: str = "client") -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.settimeout(DEADLINE)
    if kind == DATAGRAM:
        sock.bind(str(daemon.directory / name))
        (daemon.directory / name).chmod(0o666)
    sock.connect(daemon.path("x"))
    return sock


def identity(sock: socket.socket) -> dict[str, object]:
    line: dict[str, object] = json.loads(sock.recv(1 << 16))
    return line


@KINDS
def test_identity_is_what_the_kernel_tells(either: Daemon, kind: socket.SocketKind) -> None:
    start(either, kind, 'reply = "identity"')
    reading, writing = os.pipe()
    with connect(either, kind) as sock, Path("/dev/null").open("rb") as null:
        socket.send_fds(sock, [b"hello\n"], [reading, null.fileno(), sock.fileno()])
        line = identity(sock)
    os.close(reading)
    os.close(writing)
    connected = kind != DATAGRAM
    assert line.pop("pidfd_exact") is (connected and has_pidfd())
    assert line == {
        "pid": os.getpid(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": sorted({os.getgid(), *os.getgroups()}) if connected else None,
        "security_label": None,
        "descriptors": 3,
        "descriptor_kinds": ["pipe", "file", "socket"],
        "descriptors_cut": False,
    }


def has_pidfd() -> bool:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            os.close(int.from_bytes(ours.getsockopt(socket.SOL_SOCKET, 77, 4), "little"))
        except OSError:
            return False
    return True


@needs_root
def test_identity_of_another_user_has_their_groups(daemon: Daemon) -> None:
    start(daemon, STREAM, 'reply = "identity"')
    daemon.directory.chmod(0o755)

    def ask() -> int:
        with connect(daemon, STREAM) as sock:
            sock.send(b"x\n")
            line = identity(sock)
        known = (line["uid"], line["gid"], line["groups"])
        return known != (12345, 12345, [7, 8, 12345])

    def become() -> int:
        os.setgroups([7, 8])
        os.setresgid(12345, 12345, 12345)
        os.setresuid(12345, 12345, 12345)
        return ask()

    assert as_user(0, [], become) == 0


@KINDS
def test_a_reload_changes_the_reply_of_open_connections(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "")
    with connect(either, kind) as sock:
        for keys, is_identity in (("", False), ('reply = "identity"', True), ("", False)):
            configure(either, kind, keys)
            assert either.ctl("reload").returncode == 0
            sock.send(b"hello\n")
            assert (sock.recv(1000) != b"hello\n") is is_identity


@KINDS
def test_descriptors_come_back_and_none_stays(either: Daemon, kind: socket.SocketKind) -> None:
    start(either, kind, "echo_descriptors = true")
    reading, writing = os.pipe()
    with connect(either, kind) as sock:
        sock.send(b"before\n")
        assert sock.recv(100) == b"before\n"
        before = descriptors(either.pid)
        for _ in range(100):
            socket.send_fds(sock, [b"hello\n"], [writing, reading])
            data, back, _flags, _ = socket.recv_fds(sock, 100, 16)
            assert (data, len(back)) == (b"hello\n", 2)
            os.write(back[0], b"through")
            assert os.read(reading, 100) == b"through"
            for each in back:
                os.close(each)
        # Not "the same": the service may have had one open for a moment when they were counted.
        until(lambda: descriptors(either.pid) <= before)
    os.close(reading)
    os.close(writing)


@KINDS
def test_refused_descriptors_are_cut(either: Daemon, kind: socket.SocketKind) -> None:
    start(
        either,
        kind,
        'reply = "identity"\necho_descriptors = true\nfaults = { refuse_descriptors = true }',
    )
    with connect(either, kind) as sock:
        socket.send_fds(sock, [b"hello\n"], [sock.fileno()])
        data, back, _flags, _ = socket.recv_fds(sock, 1000, 16)
    line = json.loads(data)
    assert (back, line["descriptors"], line["descriptors_cut"]) == ([], 0, True)
    assert either.row("x")["faults_total"] == {"refuse_descriptors": 1}


@KINDS
def test_more_descriptors_than_are_received_are_cut(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, 'reply = "identity"\necho_descriptors = true')
    with connect(either, kind) as sock:
        socket.send_fds(sock, [b"hello\n"], [sock.fileno()] * 20)
        data, back, _flags, _ = socket.recv_fds(sock, 1000, 253)
        line = json.loads(data)
        assert (len(back), line["descriptors"], line["descriptors_cut"]) == (16, 16, True)
        for each in back:
            os.close(each)


@KINDS
def test_a_client_that_reads_nothing_has_bounded_descriptors_under_way(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, 'reply = "identity"\necho_descriptors = true')
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(either, kind, f"c{n}")) for n in range(8)]
        for _ in range(5):
            for sock in clients:
                with suppress(BlockingIOError):
                    socket.send_fds(sock, [b"x\n"], [0] * 16, socket.MSG_DONTWAIT)
        until(lambda: all(is_quiet(either) for _ in clients))
        returned = sum(drain(sock) for sock in clients)
    assert 0 < returned <= 256


@pytest.mark.parametrize("keys", ["echo_descriptors = true", "faults.delay = 0.001"])
def test_an_out_of_band_byte_is_read(either: Daemon, keys: str) -> None:
    """Or the connection would be ready, with nothing to read, for as long as the client wants."""
    start(either, STREAM, keys)
    with connect(either, STREAM) as sock:
        try:
            sock.send(b"x", socket.MSG_OOB)
        except OSError:
            pytest.skip("this kernel has no out-of-band data on local sockets")
        until(lambda: either.row("x")["received_bytes_total"] == 1)
        sock.send(b"y\n")
        assert sock.recv(100) == b"xy\n"


def is_quiet(daemon: Daemon) -> bool:
    before = daemon.row("x")["messages_total"]
    with daemon.connect("good") as sock:
        sock.send(b"x\n")
        sock.recv(100)
    return bool(daemon.row("x")["messages_total"] == before)


def drain(sock: socket.socket) -> int:
    """Read all that waits; return how many descriptors came with it."""
    count = 0
    sock.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            _data, back, _flags, _ = socket.recv_fds(sock, 1 << 16, 253)
            count += len(back)
            for each in back:
                os.close(each)
    return count


def test_a_close_that_takes_long_delays_nobody(daemon: Daemon) -> None:
    start(daemon, STREAM, 'reply = "identity"')
    with socket.create_server(("127.0.0.1", 0)) as server, connect(daemon, STREAM) as sock:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        client.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                client.send(bytes(1 << 16))  # nobody reads it, so that a close waits
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, array.array("i", [1, 60]).tobytes())
        socket.send_fds(sock, [b"x\n"], [client.fileno()])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, array.array("i", [1, 60]).tobytes())
        os.close(client.detach())  # the daemon may have the last descriptor now
        assert identity(sock)["descriptor_kinds"] == ["socket"]
        with daemon.connect("good") as other:
            other.send(b"hello\n")
            assert other.recv(100) == b"Hi, hello\n"
        peer.close()


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ('type = "stream"\nframing = "record"\nreply = "identity"', "x.reply"),
        ('type = "stream"\nfaults = { refuse_descriptors = true }', "refuse_descriptors"),
        ('type = "stream"\necho_descriptors = true\nfaults = { delay = 1 }', "faults.delay"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(daemon: Daemon, keys: str, reason: str) -> None:
    daemon.configure(f"[endpoints.x]\n{keys}\n")
    done = daemon.run("--check")
    assert (done.returncode, reason in done.stderr) == (78, True)
