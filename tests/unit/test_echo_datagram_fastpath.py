"""Datagrams that are read and answered, compiled and in Python, with real sockets."""

import ctypes
import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localechod.echo import fastpath
from localechod.echo.datagram import send_budget
from localechod.echo.fastpath import (
    COMPILED,
    LONGEST_READ,
    AnswerDatagrams,
    Proof,
    datagram_function,
)
from localechod.echo.portable.datagrams import (
    SO_TIMESTAMPNS,
    Answered,
    Renew,
    answer_datagrams,
)

LIMIT = 4096
PLENTY = 1 << 20
SO_TIMESTAMP = 29  # asm-generic/socket.h; not in Python's socket module
compiled = pytest.mark.skipif(not COMPILED, reason="the compiled part is not there")


def many_at_once(
    sock: socket.socket,
    prefix: bytes,
    limit: int,
    most: int,
    slack: int,
    answered: set[str | bytes],
    _at_once: int,
    ours: set[str | bytes],
    proofs: dict[bytes, Proof],
    fresh: float,
    renew: Renew,
) -> Answered:
    return fastpath._answer_compiled(
        sock, prefix, limit, most, slack, answered, 32, ours, proofs, fresh, renew
    )


EITHER = [
    pytest.param(fastpath._answer_compiled, marks=compiled),
    pytest.param(many_at_once, marks=compiled),
    answer_datagrams,
]


@pytest.fixture
def server(sockdir: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(sockdir / "server"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setblocking(False)
        yield sock


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def client(
    stack: ExitStack, server: socket.socket, name: bytes | str = b"", *, connected: bool = True
) -> socket.socket:
    sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    sock.bind(name)  # b"": autobind, unix(7)
    if connected:
        sock.connect(server.getsockname())
    sock.settimeout(10)
    return sock


def ask(
    sock: socket.socket,
    function: AnswerDatagrams = fastpath._answer_compiled,
    *,
    prefix: bytes = b"",
    most: int = 32,
    slack: int = PLENTY,
    answered: set[str | bytes] | None = None,
    limit: int = LIMIT,
    ours: set[str | bytes] | None = None,
    proofs: dict[bytes, Proof] | None = None,
    fresh: float = 60.0,
    renew: Renew = lambda _name, _uid: None,
) -> Answered:
    names, ours = answered if answered is not None else set(), ours or set()
    proofs = proofs if proofs is not None else {}
    return function(sock, prefix, limit, most, slack, names, 1, ours, proofs, fresh, renew)


@compiled
@pytest.mark.parametrize("function", EITHER[:2])
def test_each_sender_gets_its_own_datagram_behind_the_prefix(
    server: socket.socket, stack: ExitStack, function: AnswerDatagrams
) -> None:
    clients = [client(stack, server) for _ in range(5)]
    for turn in range(3):
        messages = [f"{turn} {number}".encode() * (1 + number) for number in range(5)]
        for sock, message in zip(clients, messages, strict=True):
            sock.send(message)
        answered: set[str | bytes] = set()
        size = sum(map(len, messages))
        count, received, sent, slack, *rest = ask(
            server, function, prefix=b"Hi, ", answered=answered
        )
        assert (count, received, sent, rest) == (5, size, size + 20, [(), ()])
        assert slack == PLENTY - sum(2 * (len(message) + 4) + 1280 for message in messages)
        assert answered == {sock.getsockname() for sock in clients}
        for sock, message in zip(clients, messages, strict=True):
            assert sock.recv(LIMIT) == b"Hi, " + message


@contextmanager
def proof(name: bytes, marker: bytes = b"marker", uid: int | None = None) -> Iterator[Proof]:
    """Yield a proof of a socket that has a name now; with no marker, of a connected client."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        if marker:
            probe.bind(b"")
            probe.sendto(marker, probe.getsockname())
            probe.connect(name)
        owner = os.getuid() if uid is None else uid
        yield Proof(probe.fileno(), marker, owner, time.monotonic() + 60)


@compiled
@pytest.mark.parametrize("function", EITHER[:2])
@pytest.mark.parametrize("connected", [False, True])
def test_a_proven_sender_is_answered_as_long_as_the_proof_holds(
    server: socket.socket, stack: ExitStack, function: AnswerDatagrams, *, connected: bool
) -> None:
    first = client(stack, server, connected=connected)
    name = first.getsockname()
    marker = b"" if connected else b"marker"

    def answered(proof: Proof) -> int:
        """Send once; return how many datagrams were answered without Python."""
        first.sendto(b"x", server.getsockname())
        count, _, _, _, failures, rest = ask(server, function, proofs={name: proof}, fresh=0.0)
        assert (count + len(rest), failures) == (1, ())
        return count

    with proof(name, marker) as good, proof(name, marker, uid=os.getuid() + 1) as foreign:
        assert answered(good) == 1
        assert answered(foreign) == 0
        assert answered(Proof(good.probe, marker, good.uid, time.monotonic())) == 0
        assert answered(Proof(good.probe, b"another", good.uid, good.until)) == 0
        assert answered(good) == 1
        first.close()
        first = client(stack, server, name, connected=False)
        good.checked = time.monotonic() + 60
        assert answered(good) == 1  # it was checked within a millisecond
        good.checked = time.monotonic() - 0.001
        assert answered(good) == 0


@compiled
@pytest.mark.parametrize("connected", [False, True])
def test_a_check_of_a_connected_client_is_remembered(
    server: socket.socket, stack: ExitStack, *, connected: bool
) -> None:
    sock = client(stack, server, connected=connected)
    name = sock.getsockname()
    with proof(name, b"" if connected else b"marker") as good:
        assert good.checked < 0
        before = time.monotonic()
        sock.sendto(b"x", server.getsockname())
        assert ask(server, proofs={name: good}, fresh=0.0)[0] == 1
        if connected:
            assert before <= good.checked <= time.monotonic()
        else:
            assert good.checked < 0


@compiled
@pytest.mark.parametrize("function", EITHER[:2])
def test_the_proof_of_a_connected_client_that_has_ended_is_renewed_once(
    server: socket.socket, stack: ExitStack, function: AnswerDatagrams
) -> None:
    clients = [client(stack, server) for _ in range(3)]
    with proof(clients[0].getsockname(), b"") as good:
        proofs = {each.getsockname(): Proof(good.probe, b"", good.uid, 0.0) for each in clients}
        asked = []

        def renew(name: bytes, uid: int) -> None:
            """As one list does for all clients; the proofs before are not kept."""
            asked.append((name, uid))
            for each in proofs:
                proofs[each] = Proof(good.probe, b"", good.uid, good.until)

        for sock in clients:
            sock.send(b"x")
        count = 0
        while count < len(clients):
            more, *_, rest = ask(server, function, proofs=proofs, fresh=0.0, renew=renew)
            assert more
            assert not rest
            count += more
    assert asked == [(clients[0].getsockname(), os.getuid())]
    assert [sock.recv(9) for sock in clients] == [b"x"] * 3


@compiled
@pytest.mark.parametrize("becomes", ["as before", "forgotten", "ended when it is there"])
def test_what_renewing_does_not_prove_is_left_to_python(
    server: socket.socket, stack: ExitStack, becomes: str
) -> None:
    sock = client(stack, server)
    name = sock.getsockname()
    with proof(name, b"") as good:
        proofs = {name: Proof(good.probe, b"", good.uid, 0.0)}

        def renew(name: bytes, _uid: int) -> None:
            if becomes == "forgotten":
                del proofs[name]
            if becomes == "ended when it is there":
                proofs[name].until = time.monotonic()

        sock.send(b"x")
        count, *_, rest = ask(server, proofs=proofs, fresh=0.0, renew=renew)
        assert (count, [each[2] for each in rest]) == (0, [name])


@compiled
@pytest.mark.parametrize("marker", [b"", b"marker"])
def test_renewed_is_no_other_proof(server: socket.socket, stack: ExitStack, marker: bytes) -> None:
    """Neither that of another user's socket, nor of a client that has a probe."""
    sock = client(stack, server, connected=not marker)
    name = sock.getsockname()
    asked: list[bytes] = []
    with proof(name, marker, uid=os.getuid() + (not marker)) as ended:
        ended.until = 0.0
        sock.sendto(b"x", server.getsockname())
        renewed = ask(
            server, proofs={name: ended}, fresh=0.0, renew=lambda name, _: asked.append(name)
        )
    assert (renewed[0], len(renewed[-1]), asked) == (0, 1, [])


@compiled
def test_an_exception_while_renewing_is_raised(server: socket.socket, stack: ExitStack) -> None:
    sock = client(stack, server)

    def renew(_name: bytes, _uid: int) -> None:
        raise MemoryError

    with proof(sock.getsockname(), b"") as ended:
        ended.until = 0.0
        sock.send(b"x")
        with pytest.raises(MemoryError):
            ask(server, proofs={sock.getsockname(): ended}, fresh=0.0, renew=renew)


@compiled
def test_a_proof_of_another_type_is_refused(server: socket.socket, stack: ExitStack) -> None:
    sock = client(stack, server)
    sock.send(b"x")
    with pytest.raises(TypeError, match="no Proof"):
        ask(server, proofs={sock.getsockname(): "proof"}, fresh=0.0)  # type: ignore[dict-item]


@compiled
@pytest.mark.parametrize("function", EITHER[:2])
def test_an_endpoint_of_ours_is_left_to_python(
    server: socket.socket, stack: ExitStack, function: AnswerDatagrams
) -> None:
    sock = client(stack, server)
    sock.send(b"x")
    count, *_, rest = ask(server, function, ours={sock.getsockname()})
    assert (count, len(rest)) == (0, 1)


@compiled
@pytest.mark.parametrize("function", EITHER[:2])
def test_a_datagram_that_has_waited_takes_a_proof(
    server: socket.socket, stack: ExitStack, function: AnswerDatagrams
) -> None:
    sock = client(stack, server)
    sock.send(b"x")
    time.sleep(0.002)
    count, *_, rest = ask(server, function, fresh=0.001)
    assert (count, len(rest)) == (0, 1)
    assert rest[0][3] <= time.time() - 0.002


@compiled
@pytest.mark.parametrize("function", EITHER[:2])
def test_no_more_are_read_than_asked_for(
    server: socket.socket, stack: ExitStack, function: AnswerDatagrams
) -> None:
    sock = client(stack, server)
    for _ in range(3):
        sock.send(b"x")
    assert ask(server, function, most=2)[0] == 2
    assert ask(server, function, most=2)[0] == 1


@pytest.mark.parametrize("function", EITHER)
def test_a_datagram_for_python_is_returned_with_its_sender(
    server: socket.socket, stack: ExitStack, sockdir: Path, function: AnswerDatagrams
) -> None:
    ourselves = (os.getpid(), os.getuid(), os.getgid())
    path = str(sockdir / "client-\udcff")
    client(stack, server, path).send(b"one\0two")
    abstract = client(stack, server)
    abstract.send(b"")
    unnamed = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    unnamed.connect(server.getsockname())
    unnamed.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
    unnamed.send(b"x" * LIMIT)
    abstract.send(b"x" * LIMIT * 2)
    returned = [datagram[:3] for _ in range(4) for datagram in ask(server, function)[-1]]
    assert returned == [
        (b"one\0two", ourselves, path),
        (b"", ourselves, abstract.getsockname()),
        (b"x" * LIMIT, ourselves, None),
        # Longer than it may be: by one byte, and by that it is known.
        (b"x" * (LIMIT + 1), ourselves, abstract.getsockname()),
    ]
    assert ask(server, function) == (0, 0, 0, PLENTY, (), ())


@compiled
@pytest.mark.parametrize("size", [1, 6912, 6913, 50_000])
def test_the_cost_of_a_reply_is_that_of_the_send_budget(
    server: socket.socket, stack: ExitStack, size: int
) -> None:
    client(stack, server).send(b"x" * size)
    assert ask(server, limit=50_000)[3] == PLENTY - send_budget.send_cost(size)


@compiled
def test_without_slack_or_space_for_its_name_a_sender_is_left_to_python(
    server: socket.socket, stack: ExitStack
) -> None:
    sock = client(stack, server)
    full: set[str | bytes] = {str(number) for number in range(send_budget.MOST_NAMES)}
    for _ in range(3):
        sock.send(b"x")
    assert len(ask(server, slack=1281)[-1]) == 1
    assert ask(server, slack=2 * 1282)[:1] == (2,)
    sock.send(b"x")
    assert len(ask(server, answered=full)[-1]) == 1
    full.add(sock.getsockname())
    sock.send(b"x")
    assert ask(server, answered=full)[0] == 1


@compiled
@pytest.mark.parametrize("function", EITHER[:2])
def test_a_reply_that_cannot_be_delivered_is_reported_and_stops_no_other(
    server: socket.socket, stack: ExitStack, function: AnswerDatagrams
) -> None:
    clients = [client(stack, server) for _ in range(4)]
    for sock in clients:
        sock.send(b"x")
    clients[1].close()
    clients[2].close()
    counts: list[int] = []
    failures: list[int] = []
    for _ in range(3):
        count, *_, failed, rest = ask(server, function)
        counts.append(count)
        failures += failed
        assert not rest
    assert sum(counts) == 4
    assert failures == [errno.ECONNREFUSED] * 2
    assert clients[0].recv(9) == clients[3].recv(9) == b"x"


@compiled
def test_in_a_batch_python_gets_all_that_follow_what_it_has_to_handle(
    server: socket.socket, stack: ExitStack, sockdir: Path
) -> None:
    first, second = client(stack, server), client(stack, server, str(sockdir / "path"))
    first.send(b"1")
    second.send(b"2")
    first.send(b"3")
    count, received, sent, _slack, failures, rest = ask(server, many_at_once)
    assert (count, received, sent, failures) == (1, 1, 1, ())
    assert [message for message, *_ in rest] == [b"2", b"3"]
    assert first.recv(9) == b"1"


@pytest.mark.parametrize("function", EITHER)
def test_the_longest_path_has_no_nul_and_is_returned_whole(
    server: socket.socket, stack: ExitStack, sockdir: Path, function: AnswerDatagrams
) -> None:
    sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    path = os.fsencode(sockdir) + b"/"
    path = path.ljust(108, b"n")
    address = struct.pack("=H108s", socket.AF_UNIX, path)
    # Python's own bind refuses what the kernel takes.
    assert ctypes.CDLL(None).bind(sock.fileno(), address, len(address)) == 0
    sock.connect(server.getsockname())
    sock.send(b"x")
    (datagram,) = ask(server, function)[-1]
    assert datagram[2] == os.fsdecode(path)


@pytest.mark.parametrize("function", EITHER)
def test_a_passed_descriptor_is_closed_by_the_kernel(
    server: socket.socket, stack: ExitStack, function: AnswerDatagrams
) -> None:
    sock = client(stack, server)
    before = set(Path("/proc/self/fd").iterdir())
    socket.send_fds(sock, [b"x"], [0, 1, 2])
    ask(server, function)
    assert set(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize("function", EITHER)
def test_another_control_message_is_read_as_no_other(
    server: socket.socket, stack: ExitStack, sockdir: Path, function: AnswerDatagrams
) -> None:
    server.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
    client(stack, server, str(sockdir / "client")).send(b"x")
    ((_message, peer, _sender, sent_at),) = ask(server, function)[-1]
    assert (peer, sent_at) == ((os.getpid(), os.getuid(), os.getgid()), 0.0)


@pytest.mark.parametrize("function", EITHER)
def test_an_error_of_the_socket_is_returned(function: AnswerDatagrams) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        assert ask(sock, function) == (0, 0, 0, PLENTY, [errno.EINVAL], ())


def test_datagrams_longer_than_the_compiled_buffer_are_left_to_python() -> None:
    assert datagram_function(LONGEST_READ) is answer_datagrams
    assert datagram_function(LONGEST_READ - 1) is fastpath._answer_compiled


@compiled
@pytest.mark.parametrize(
    ("prefix", "limit", "at_once"),
    [(b"x" * 1025, 1, 1), (b"", LONGEST_READ, 1), (b"", -2, 1), (b"", 1, 0)],
)
def test_a_size_that_fits_no_buffer_is_refused(
    server: socket.socket, prefix: bytes, limit: int, at_once: int
) -> None:
    with pytest.raises(ValueError, match="fits no buffer"):
        fastpath._answer_compiled(
            server, prefix, limit, 1, PLENTY, set(), at_once, set(), {}, 0.0, print
        )


@compiled
@settings(max_examples=30)
@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=10))
def test_bytes_come_back_as_they_were_sent(messages: list[bytes]) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as theirs,
    ):
        ours.bind(b"")
        ours.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        theirs.bind(b"")
        theirs.connect(ours.getsockname())
        theirs.settimeout(10)
        for message in messages:
            theirs.send(message)
        assert ask(ours, prefix=b"> ")[0] == len(messages)
        assert [theirs.recv(LIMIT) for _ in messages] == [b"> " + each for each in messages]
