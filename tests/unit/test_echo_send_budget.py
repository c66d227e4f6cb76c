"""Which replies are withheld so that senders that never read cannot silence an endpoint."""

import errno
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from localechod.echo.datagram.send_budget import SendBudget, send_cost
from localechod.localsocket import diag
from tests.integration.harness import needs_root

ROOM = 212_992  # bytes asked for, what any usual system grants; the kernel doubles it
SMALL = b"x" * 64
LARGE = b"x" * 50_000


class Clock:
    """Time that passes when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Questions:
    """Counts what is asked of the system."""

    number = 0

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*arguments: object) -> Any:
            self.number += 1
            return function(*arguments)

        return ask


class Endpoint:
    """A server's socket whose replies are decided by what is tested; nobody asks it first."""

    def __init__(self, room: int = ROOM) -> None:
        self.clock = Clock()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("")
        self.sock.setblocking(False)
        self.unread = SendBudget(self.sock, self.clock, room)
        self.stack = ExitStack()
        self.stack.enter_context(self.sock)

    def client(self, *, connected: bool = True, name: str = "") -> socket.socket:
        sock = self.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        sock.bind(name)
        sock.setblocking(False)
        if connected:
            sock.connect(self.sock.getsockname())
        return sock

    def answer(self, client: socket.socket, reply: bytes) -> str:
        """Return what became of a reply: "" is sent."""
        refusal = self.unread.refusal(client.getsockname(), len(reply))
        if refusal:
            return refusal
        try:
            self.sock.sendto(reply, client.getsockname())
        except BlockingIOError:
            return "EAGAIN"
        return ""

    def serves(self, client: socket.socket, reply: bytes = SMALL) -> bool:
        """Answer a client that reads at once."""
        return self.answer(client, reply) == "" and client.recv(1 << 20) == reply

    def flood(self, client: socket.socket, reply: bytes = SMALL, times: int = 2000) -> set[str]:
        """Answer a client that never reads; return all that became of the replies."""
        return {self.answer(client, reply) for _ in range(times)}


@contextmanager
def as_user(uid: int) -> Iterator[None]:
    """Create sockets as another user."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def waits(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    with endpoint.stack:
        yield endpoint


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("size", [1, 64, 1000, 10_000, 50_000])
@pytest.mark.parametrize("count", [1, 10, 50])
def test_a_sender_that_reads_is_answered_however_many_do_not(
    endpoint: Endpoint, count: int, size: int, *, connected: bool
) -> None:
    known = endpoint.client(connected=connected)
    assert endpoint.serves(known)
    for _ in range(count):
        assert "EAGAIN" not in endpoint.flood(endpoint.client(), b"x" * size, 500)
        assert endpoint.serves(known)
    for _ in range(50):
        assert endpoint.serves(known, b"x" * min(size, 10_000))
        endpoint.clock.now += 0.001
    assert endpoint.serves(endpoint.client(connected=connected))


def test_large_replies_that_unconnected_senders_leave_unread_silence_nobody(
    endpoint: Endpoint,
) -> None:
    known = endpoint.client()
    assert endpoint.serves(known, b"x" * 20_000)
    for _ in range(10):
        endpoint.flood(endpoint.client(connected=False), LARGE, 20)
    for _ in range(20):
        assert endpoint.serves(known, b"x" * 20_000)


def test_a_sender_that_reads_again_is_answered_again(endpoint: Endpoint) -> None:
    nonreader = endpoint.client()
    assert endpoint.flood(nonreader) == {"", "unread_replies"}
    while waits(nonreader):
        nonreader.recv(100)
    endpoint.flood(endpoint.client())
    endpoint.clock.now += 0.25
    assert endpoint.serves(nonreader)


def test_a_sender_that_reads_late_is_answered_again_while_others_never_read(
    endpoint: Endpoint,
) -> None:
    nonreader, late = endpoint.client(), endpoint.client()
    assert endpoint.answer(late, SMALL) == ""
    endpoint.flood(nonreader)
    assert endpoint.answer(late, SMALL) == "unread_replies"
    assert late.recv(100) == SMALL
    endpoint.clock.now += 0.001
    assert endpoint.serves(late)


def test_a_sender_that_stops_reading_takes_little_of_the_buffer(endpoint: Endpoint) -> None:
    known = endpoint.client()
    assert endpoint.serves(known)
    endpoint.flood(endpoint.client())
    assert [endpoint.answer(known, SMALL) for _ in range(1000)].count("") < 20


def test_whose_socket_has_closed_may_bind_another(endpoint: Endpoint) -> None:
    name = f"\0unread-{os.getpid()}-{id(endpoint)}"
    endpoint.flood(endpoint.client())
    with endpoint.client(name=name) as nonreader:
        assert endpoint.flood(nonreader) == {"", "queue_full"}
        endpoint.clock.now += 0.01
        assert endpoint.flood(nonreader) == {"unread_replies"}
    endpoint.clock.now += 0.01
    with endpoint.client(name=name) as other:
        assert endpoint.serves(other)
        endpoint.clock.now += 0.01
        assert "unread_replies" in endpoint.flood(other)


@needs_root
def test_one_users_senders_leave_room_for_other_users(endpoint: Endpoint) -> None:
    """Also those that first gain trust by reading, and newcomers of the other users."""
    reply = b"x" * 2000
    with as_user(5):
        theirs = [endpoint.client() for _ in range(200)]
    assert all(endpoint.serves(each, reply) for each in theirs)
    found = set()
    for each in theirs:
        found |= endpoint.flood(each, reply, 20)
    assert found == {"", "unread_replies", "queue_full"}
    endpoint.clock.now += 0.01
    assert endpoint.serves(endpoint.client(), b"x" * 30_000)
    with as_user(5):
        assert endpoint.answer(endpoint.client(), SMALL) == "queue_full"


def test_nothing_is_asked_while_nothing_lies_unread(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Questions()
    monkeypatch.setattr(endpoint.unread, "_used", asked.counted(lambda: 0))
    monkeypatch.setattr(diag, "datagrams", lambda: pytest.fail("all replies have been read"))
    client = endpoint.client()
    for _ in range(6900):
        assert endpoint.serves(client)
    assert asked.number <= 6900 // 100


def test_a_sender_that_never_reads_costs_few_questions(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Questions()
    monkeypatch.setattr(diag, "of_inode", asked.counted(diag.of_inode))
    monkeypatch.setattr(diag, "datagrams", asked.counted(diag.datagrams))
    nonreader = endpoint.client()
    for _ in range(10_000):  # one second
        endpoint.answer(nonreader, SMALL)
        endpoint.clock.now += 0.0001
    assert 0 < asked.number < 20


def test_an_empty_reply_hides_nothing(endpoint: Endpoint) -> None:
    """Unread, it looks as if there was nothing: also to whoever wants to hide more behind it."""
    known = endpoint.client()
    assert endpoint.serves(known)
    for _ in range(3):
        liar = endpoint.client()
        endpoint.flood(liar, b"", 1)
        endpoint.flood(liar)
        assert "EAGAIN" not in endpoint.flood(liar, b"")
        assert endpoint.serves(known)


def test_more_who_could_hide_than_are_remembered_get_no_empty_reply(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localechod.echo.datagram.send_budget.MOST_NAMES", 2)
    some = [endpoint.client() for _ in range(3)]
    assert [endpoint.answer(each, b"") for each in some] == ["", "", "queue_full"]
    assert [each.recv(10) for each in some[:2]] == [b"", b""]
    assert endpoint.answer(some[2], b"") == ""


def test_senders_that_come_and_go_leave_no_trace(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localechod.echo.datagram.send_budget.MOST_NAMES", 8)
    for _ in range(20):
        with endpoint.client() as client:
            assert endpoint.serves(client)
    assert len(endpoint.unread.answered) <= 8


OUTSIDER = """
import socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind(sys.argv[1])
sock.connect(sys.argv[2])
print("connected", flush=True)
sys.stdin.readline()
"""


@needs_root
def test_one_in_another_network_namespace_takes_the_strangers_room_at_most(sockdir: Path) -> None:
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        sock.bind(str(sockdir / "d"))
        sock.setblocking(False)
        clock = Clock()
        unread = SendBudget(sock, clock, ROOM)
        process = stack.enter_context(
            subprocess.Popen(
                [
                    *("unshare", "--net", sys.executable, "-c", OUTSIDER),
                    *(str(sockdir / "outside"), str(sockdir / "d")),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert process.stdout
        if process.stdout.readline() != "connected\n":
            pytest.skip("network namespaces are not to be had here")
        reasons = set()
        for _ in range(1000):
            reason = unread.refusal(str(sockdir / "outside"), 64)
            reasons.add(reason)
            if not reason:
                sock.sendto(SMALL, str(sockdir / "outside"))
            clock.now += 0.01
        used = unread._used()
        process.communicate("\n", timeout=20)
    assert used < 2 * ROOM * 9 / 16
    assert reasons == {"", "queue_full"}


def test_a_list_that_is_not_to_be_had_stops_who_floods(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> list[diag.DiagSocket]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(diag, "datagrams", refuse)
    assert endpoint.flood(endpoint.client()) == {"", "queue_full"}


def test_the_cost_of_a_reply_is_never_thought_too_small() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("")
        unread = SendBudget(sock, room=1 << 21)
        before = 0
        for size in [0, 1, 63, 64, 300, 1000, 2000, 4000, 9000, 16_000, 17_000, 50_000, 100_000]:
            sock.sendto(bytes(size), sock.getsockname())
            assert unread._used() - before <= send_cost(size)
            before = unread._used()


def test_bytes_unread_before_a_restart_count() -> None:
    endpoint = Endpoint()
    with endpoint.stack:
        nonreader = endpoint.client()
        endpoint.flood(nonreader)
        endpoint.unread = SendBudget(endpoint.sock, endpoint.clock, ROOM)
        assert endpoint.answer(nonreader, SMALL) == "unread_replies"
