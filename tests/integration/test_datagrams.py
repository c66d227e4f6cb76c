"""Datagram endpoints: which senders are answered, and each way in which a reply is lost."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.integration.harness import (
    DEADLINE,
    Daemon,
    as_user,
    is_answered,
    needs_root,
    until,
)
from tests.integration.stage import CLONE_NEWNET, CLONE_NEWUSER, GAMES, unshare
from tests.integration.stage import DAEMON as ALICE

KIND = socket.SOCK_DGRAM
DATAGRAMS = '[endpoints.d]\ntype = "datagram"\nmode = "0666"\n'
# Seconds after which a connected client's proof has ended, however slow the machine.
ENDED = 0.5
QUEUE = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text(encoding="ascii"))


@contextmanager
def sender(daemon: Daemon, name: str | Path = "") -> Iterator[socket.socket]:
    """Yield a socket that can be answered; without a name the kernel chooses one (autobind)."""
    with daemon.connect("d", KIND) as sock:
        sock.bind(str(name))
        if name:
            # The daemon serves as another user, and replying takes the right to write.
            Path(name).chmod(0o666)
        yield sock


def ask(sock: socket.socket, message: bytes) -> bytes:
    sock.send(message)
    return sock.recv(1 << 20)


@contextmanager
def sockets_of(uid: int) -> Iterator[None]:
    """Make sockets that belong to another user."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def service_of_alice(name: bytes) -> Iterator[socket.socket]:
    """Yield a socket of another user that has an abstract name here."""
    with sockets_of(ALICE), socket.socket(socket.AF_UNIX, KIND) as sock:
        os.seteuid(0)
        sock.bind(name)
        sock.setblocking(False)
        yield sock


def send_from_elsewhere(daemon: Daemon, name: bytes, uid: int) -> None:
    """Send a datagram from a name that is bound in another network namespace."""

    def attack() -> int:
        unshare(CLONE_NEWNET | (CLONE_NEWUSER if uid else 0))
        with socket.socket(socket.AF_UNIX, KIND) as sock:
            sock.bind(name)
            for _ in range(3):
                sock.sendto(b"for ever", daemon.path("d"))
        return 0

    assert as_user(uid, [], attack) == 0


def is_silent(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        sock.recv(100)
    except BlockingIOError:
        return True
    return False


@contextmanager
def paused(daemon: Daemon) -> Iterator[None]:
    """Hold the daemon, so that what its clients do meanwhile is over when it looks."""
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(daemon.pid, signal.SIGCONT)


def test_a_sender_with_a_path_is_answered(either: Daemon, sockdir: Path) -> None:
    either.configure(DATAGRAMS)
    with sender(either.start(), sockdir / "me") as sock:
        assert ask(sock, b"hello") == b"Hi, hello"
        assert ask(sock, b"two\nlines\0and more") == b"Hi, two\nlines\0and more"


def test_a_sender_that_binds_its_path_again_is_answered(daemon: Daemon, sockdir: Path) -> None:
    daemon.configure(DATAGRAMS)
    daemon.start()
    for _ in range(20):
        with sender(daemon, sockdir / "me") as sock:
            assert ask(sock, b"hello") == b"Hi, hello"
            (sockdir / "me").unlink()
    assert daemon.errors("d") == {}


def test_a_sender_with_an_abstract_name_is_answered(either: Daemon) -> None:
    either.configure(DATAGRAMS)
    with sender(either.start()) as sock:
        assert sock.getsockname().startswith(b"\0")
        assert ask(sock, b"hello") == b"Hi, hello"


def test_a_sender_whose_path_is_no_utf_8_is_answered(daemon: Daemon, sockdir: Path) -> None:
    daemon.configure(DATAGRAMS)
    with sender(daemon.start(), os.fsdecode(bytes(sockdir) + b"/\xff\n\x1b")) as sock:
        assert ask(sock, b"hello") == b"Hi, hello"


def test_an_abstract_endpoint_serves_the_same(daemon: Daemon, sockdir: Path) -> None:
    name = f"le-test-{os.getpid()}-{sockdir.name}"
    daemon.configure(f'[endpoints.d]\ntype = "datagram"\npath = "@{name}"\n')
    daemon.start()
    with socket.socket(socket.AF_UNIX, KIND) as sock:
        sock.settimeout(DEADLINE)
        sock.bind("")
        sock.connect(f"\0{name}")
        assert ask(sock, b"hello") == b"Hi, hello"


def test_an_empty_datagram_is_a_message(either: Daemon) -> None:
    either.configure(DATAGRAMS + '[endpoints.e]\ntype = "datagram"\nmode = "0666"\nprefix = ""\n')
    with sender(either.start()) as sock:
        assert ask(sock, b"") == b"Hi, "
        assert ask(sock, b"after it") == b"Hi, after it"
        sock.connect(either.path("e"))
        assert ask(sock, b"") == b""
    assert either.row("d")["messages_total"] == 2
    assert either.row("e")["messages_total"] == 1


def test_an_unnamed_sender_is_counted(daemon: Daemon) -> None:
    daemon.configure(DATAGRAMS)
    daemon.start()
    with daemon.connect("d", KIND) as unnamed, sender(daemon) as sock:
        unnamed.send(b"nobody to answer")
        assert ask(sock, b"next") == b"Hi, next"
    row = daemon.row("d")
    assert (row["errors"], row["messages_total"]) == ({"unnamed_sender": 1}, 2)


@pytest.mark.parametrize("leaves_its_file", [False, True])
def test_a_sender_that_is_gone_is_counted(
    daemon: Daemon, sockdir: Path, *, leaves_its_file: bool
) -> None:
    daemon.configure(DATAGRAMS)
    daemon.start()
    with paused(daemon), sender(daemon, sockdir / "me") as sock:
        sock.send(b"not waiting")
        if not leaves_its_file:
            (sockdir / "me").unlink()
    with sender(daemon) as other:
        assert ask(other, b"next") == b"Hi, next"
    assert daemon.errors("d") == {"receiver_gone": 1}


def test_a_sender_that_does_not_read_loses_replies_and_keeps_nobody_waiting(
    either: Daemon,
) -> None:
    either.configure(DATAGRAMS)
    with sender(either.start()) as other, socket.socket(socket.AF_UNIX, KIND) as nonreader:
        nonreader.bind("")
        for _ in range(5 * QUEUE):
            nonreader.sendto(b"x", either.path("d"))
        assert ask(other, b"next") == b"Hi, next"
        kept = 0
        nonreader.setblocking(False)
        try:
            while nonreader.recv(100) == b"Hi, x":
                kept += 1
        except BlockingIOError:
            pass
    assert QUEUE <= kept <= QUEUE + 1  # the kernel allows one more than it says
    row = either.row("d")
    assert row["errors"] == {"queue_full": 5 * QUEUE - kept}
    assert row["sent_bytes_total"] == 5 * kept + len(b"Hi, next")


def test_a_sender_that_takes_messages_from_one_peer_only_is_counted(
    daemon: Daemon, sockdir: Path
) -> None:
    daemon.configure(DATAGRAMS)
    daemon.start()
    with sender(daemon) as other, sender(daemon) as sock, socket.socket(socket.AF_UNIX, KIND) as it:
        it.bind(str(sockdir / "it"))
        sock.connect(str(sockdir / "it"))
        sock.sendto(b"x", daemon.path("d"))
        assert ask(other, b"next") == b"Hi, next"
    assert daemon.errors("d") == {"permission_denied": 1}


def test_a_datagram_too_long_is_dropped_and_counted(daemon: Daemon) -> None:
    daemon.configure(DATAGRAMS + "max_message = 8\n")
    with sender(daemon.start()) as sock:
        sock.send(b"123456789")
        sock.send(b"x" * 50_000)
        assert ask(sock, b"12345678") == b"Hi, 12345678"
    row = daemon.row("d")
    assert (row["errors"], row["messages_total"]) == ({"too_long": 2}, 1)


def test_a_reply_larger_than_the_socket_buffer_is_counted(daemon: Daemon) -> None:
    daemon.configure(DATAGRAMS + "max_message = 10000000\n")
    with sender(daemon.start()) as sock:
        # The daemon's is as large, unless more is allowed than it wants; a message takes 32 bytes
        # more than its length, and the reply four more than the message.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
        room = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        sock.send(b"x" * (room - 34))
        assert ask(sock, b"next") == b"Hi, next"
    assert daemon.errors("d") == {"reply_too_long": 1}


def test_a_flood_of_datagrams_does_not_starve_streams(daemon: Daemon) -> None:
    daemon.configure(DATAGRAMS + '[endpoints.a]\ntype = "stream"\nmode = "0666"\n')
    daemon.start()
    with daemon.connect("d", KIND) as flood, daemon.connect("a") as stream:
        for _ in range(20):
            for _ in range(100):
                flood.send(b"x" * 1000)
            stream.sendall(b"y\n")
            assert stream.recv(100) == b"Hi, y\n"
    assert daemon.errors("d") == {"unnamed_sender": 2000}


@pytest.mark.parametrize("size", [1, 50_000])
@pytest.mark.parametrize("count", [1, 50])
def test_connected_senders_that_do_not_read_keep_nobody_waiting(
    daemon: Daemon, sockdir: Path, count: int, size: int
) -> None:
    # The kernel's limit on a receiver's queue does not count between sockets that are connected
    # to each other, so these could take all of the daemon's send buffer.
    daemon.configure(DATAGRAMS)
    with ExitStack() as stack, sender(daemon.start(), sockdir / "me") as other:
        assert ask(other, bytes(size)) == b"Hi, " + bytes(size)
        nonreaders = [stack.enter_context(sender(daemon)) for _ in range(count)]
        for nonreader in nonreaders:
            for _ in range(8000 // count):
                nonreader.send(bytes(size))
        other.settimeout(2)
        for number in range(100):
            assert ask(other, b"%d" % number) == b"Hi, %d" % number
        assert ask(other, bytes(size)) == b"Hi, " + bytes(size)
        with sender(daemon) as newcomer:
            newcomer.settimeout(2)
            assert ask(newcomer, b"next") == b"Hi, next"
        nonreader = nonreaders[0]
        while is_answered(nonreader):
            assert nonreader.recv(1 << 20) == b"Hi, " + bytes(size)
        nonreader.settimeout(0.3)

        def hears_again() -> bool:
            nonreader.send(b"again")
            try:
                return nonreader.recv(1 << 20) == b"Hi, again"
            except TimeoutError:
                return False

        until(hears_again)
    errors = daemon.errors("d")
    assert errors.keys() <= {"unread_replies", "queue_full"}
    assert errors["unread_replies"] > 100


def test_a_reply_goes_to_the_senders_own_socket_and_nowhere_else(
    daemon: Daemon, sockdir: Path
) -> None:
    """Otherwise anybody could have the daemon say things in its own name, to systemd for one."""
    daemon.configure(DATAGRAMS)
    daemon.start()
    with socket.socket(socket.AF_UNIX, KIND) as victim, sender(daemon) as other:
        victim.bind(str(sockdir / "victim"))
        (sockdir / "victim").chmod(0o666)
        victim.setblocking(False)
        with socket.socket(socket.AF_UNIX, KIND) as attacker:
            attacker.bind(str(sockdir / "me"))
            (sockdir / "me").unlink()
            (sockdir / "me").symlink_to(sockdir / "victim")
            attacker.sendto(b"x\nSTOPPING=1", daemon.path("d"))
        assert ask(other, b"next") == b"Hi, next"
        with pytest.raises(BlockingIOError):
            victim.recv(100)
    assert daemon.errors("d") == {"receiver_gone": 1}  # its socket is not where its name says


@needs_root
def test_nor_does_it_follow_another_users_directory(daemon: Daemon, sockdir: Path) -> None:
    daemon.configure(DATAGRAMS)
    daemon.start()
    theirs, ours = sockdir / "theirs", sockdir / "ours"
    for directory in (theirs, ours):
        directory.mkdir()
    ours.chmod(0o777)
    with socket.socket(socket.AF_UNIX, KIND) as victim, sender(daemon) as other:
        victim.bind(str(theirs / "me"))
        (theirs / "me").chmod(0o666)
        victim.setblocking(False)

        def attack() -> int:
            (ours / "d").mkdir()
            with socket.socket(socket.AF_UNIX, KIND) as attacker:
                attacker.bind(str(ours / "d" / "me"))
                (ours / "d").rename(ours / "away")
                (ours / "d").symlink_to(theirs)
                attacker.sendto(b"x", daemon.path("d"))
            return 0

        assert as_user(5, [], attack) == 0
        assert ask(other, b"next") == b"Hi, next"
        with pytest.raises(BlockingIOError):
            victim.recv(100)
    assert daemon.errors("d") == {"permission_denied": 1}


def test_the_echo_never_answers_itself(daemon: Daemon, sockdir: Path) -> None:
    daemon.configure(DATAGRAMS + 'prefix = ""\n')
    with sender(daemon.start()) as other, socket.socket(socket.AF_UNIX, KIND) as attacker:
        attacker.bind(str(sockdir / "me"))
        (sockdir / "me").unlink()
        (sockdir / "me").symlink_to(daemon.path("d"))
        attacker.sendto(b"for ever", daemon.path("d"))
        for _ in range(3):
            assert ask(other, b"next") == b"next"
    row = daemon.row("d")
    assert (row["messages_total"], row["errors"]) == (4, {"receiver_gone": 1})


@needs_root
@pytest.mark.parametrize("uid", [0, GAMES])
@pytest.mark.parametrize("connected", [False, True])
def test_a_name_of_another_network_namespace_is_not_answered_in_this_one(
    either: Daemon, sockdir: Path, *, connected: bool, uid: int
) -> None:
    name = f"\0le-test-{sockdir}".encode()
    either.configure(DATAGRAMS)
    either.start()
    with service_of_alice(name) as alice, sender(either) as other:
        if connected:
            alice.connect(either.path("d"))
        send_from_elsewhere(either, name, uid)
        assert ask(other, b"next") == b"Hi, next"
        assert is_silent(alice)
        send_from_elsewhere(either, f"\0nobody-{sockdir}".encode(), uid)
        assert ask(other, b"next") == b"Hi, next"
    assert either.errors("d") == {"unproven_sender": 3, "receiver_gone": 3}
    lines = either.log.read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if "refused" in line and f"uid {uid}," in line]) == 1


@needs_root
def test_an_endpoint_of_this_daemon_is_never_answered(either: Daemon, sockdir: Path) -> None:
    name = f"le-test-{sockdir}"
    endpoints = DATAGRAMS + f'prefix = ""\n[endpoints.e]\ntype = "datagram"\npath = "@{name}"\n'
    either.configure(endpoints + 'prefix = ""\n')
    with sender(either.start()) as other:
        send_from_elsewhere(either, f"\0{name}".encode(), GAMES)
        for _ in range(3):
            assert ask(other, b"next") == b"next"
        other.connect(f"\0{name}")
        assert ask(other, b"next") == b"next"
    assert either.errors("d") == {"own_endpoint": 3}
    assert (either.row("e")["messages_total"], either.errors("e")) == (1, {})


@needs_root
@pytest.mark.parametrize("was_answered", [False, True])
@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("abstract", [False, True])
def test_a_name_that_another_user_has_taken_over_is_not_answered(
    either: Daemon, sockdir: Path, *, abstract: bool, connected: bool, was_answered: bool
) -> None:
    name, endpoint = f"\0le-test-{sockdir}".encode(), either.path("d")
    if abstract:
        endpoint = f"\0le-endpoint-{sockdir}"
    path = f'path = "{endpoint}"\n'.replace("\0", "@")
    either.configure(DATAGRAMS.replace('mode = "0666"\n', path if abstract else 'mode = "0666"\n'))
    either.start()
    with ExitStack() as stack:
        other = stack.enter_context(socket.socket(socket.AF_UNIX, KIND))
        other.settimeout(DEADLINE)
        other.bind(b"")
        other.connect(endpoint)
        with socket.socket(socket.AF_UNIX, KIND) as mallory:
            mallory.bind(name)
            if connected:
                mallory.connect(endpoint)
            if was_answered:
                mallory.sendto(b"first", endpoint)
                assert mallory.recv(100) == b"Hi, first"
            stack.enter_context(paused(either))
            mallory.sendto(b"second", endpoint)
            sent_at = time.monotonic()
        alice = stack.enter_context(service_of_alice(name))
        if not was_answered:
            alice.connect(endpoint)
        other.send(b"next")
        until(lambda: time.monotonic() - sent_at > ENDED)
        os.kill(either.pid, signal.SIGCONT)
        assert other.recv(100) == b"Hi, next"
        assert is_silent(alice)
    assert either.errors("d") == {"unproven_sender": 1}


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_an_abstract_name_is_answered_over_and_over(
    either: Daemon, sockdir: Path, *, named: bool, connected: bool
) -> None:
    either.configure(DATAGRAMS)
    either.start()
    with socket.socket(socket.AF_UNIX, KIND) as sock:
        sock.settimeout(DEADLINE)
        sock.bind(f"\0le-test-{sockdir}".encode() if named else b"")
        if connected:
            sock.connect(either.path("d"))
        for number in range(500):
            sock.sendto(b"%d" % number, either.path("d"))
            assert sock.recv(100) == b"Hi, %d" % number
    assert either.errors("d") == {}


@needs_root
def test_a_client_in_a_user_namespace_is_answered(either: Daemon, sockdir: Path) -> None:
    either.configure(DATAGRAMS)
    either.start()

    def client() -> int:
        unshare(CLONE_NEWUSER)
        with socket.socket(socket.AF_UNIX, KIND) as sock:
            sock.settimeout(DEADLINE)
            sock.bind(b"")
            sock.sendto(b"hello", either.path("d"))
            return int(sock.recv(100) != b"Hi, hello")

    assert as_user(GAMES, [], client) == 0
    assert either.errors("d") == {}


@needs_root
def test_a_spoofed_name_costs_its_owner_nothing(either: Daemon, sockdir: Path) -> None:
    name = f"\0le-test-{sockdir}".encode()
    either.configure(DATAGRAMS)
    either.start()
    with service_of_alice(name) as alice:
        alice.setblocking(True)
        alice.settimeout(DEADLINE)

        def serve() -> int:
            for _ in range(3):
                alice.sendto(b"hello", either.path("d"))
                if alice.recv(100) != b"Hi, hello":
                    return 1
            return 0

        for _ in range(3):
            send_from_elsewhere(either, name, GAMES)
            assert as_user(ALICE, [], serve) == 0
    assert either.errors("d") == {"unproven_sender": 9}


@pytest.mark.parametrize("prefix", ["Hi, ", ""])
def test_many_at_a_time_are_each_answered_and_each_counted(
    daemon: Daemon, sockdir: Path, prefix: str
) -> None:
    daemon.configure(f'{DATAGRAMS}prefix = "{prefix}"\n')
    daemon.start()
    hello, nothing = f"{prefix}hello".encode(), prefix.encode()
    with ExitStack() as stack:
        abstract = [stack.enter_context(sender(daemon)) for _ in range(6)]
        mixed = [*abstract[:3], stack.enter_context(sender(daemon, sockdir / "me")), *abstract[3:5]]
        for senders in (abstract, abstract, mixed):
            with paused(daemon):
                for sock in senders:
                    sock.send(b"hello")
            for sock in senders:
                assert sock.recv(100) == hello
        with paused(daemon):
            for sock in abstract:
                sock.send(b"hello")
            abstract.pop(2).close()
        for sock in abstract:
            assert sock.recv(100) == hello
        with paused(daemon):
            for sock in abstract:
                sock.send(b"")
        for sock in abstract:
            assert sock.recv(100) == nothing
        until(lambda: daemon.errors("d") == {"receiver_gone": 1})
    row = daemon.row("d")
    assert row["messages_total"] == 29
    assert row["received_bytes_total"] == 24 * 5
    assert row["sent_bytes_total"] == 28 * len(prefix) + 23 * 5
