"""State and connections from one process to the next: whatever a client was in the middle of."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from localechod.config import EndpointConfig
from localechod.daemon import restart
from localechod.daemon.inherited import STATE, parse
from localechod.echo.persist.snapshot import (
    ConnectionSnapshot,
    EndpointSnapshot,
    ServiceSnapshot,
    decode,
)
from localechod.echo.supervisor import Supervisor
from tests.unit.restart_fakes import Kept, live

LINE = '[endpoints.a]\ntype = "stream"\n'


@pytest.fixture
def store() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.close()


def connection(pid: int) -> ConnectionSnapshot:
    return ConnectionSnapshot(
        pid=pid,
        uid=0,
        gid=0,
        accepted_at=1,
        active_at=2,
        messages=3,
        received=4,
        sent=5,
    )


def state_of(count: int) -> ServiceSnapshot:
    endpoint = EndpointSnapshot(
        config=EndpointConfig(name="a", type="stream", path="/a"),
        counters={},
        errors={},
        connections=tuple(connection(number) for number in range(count)),
    )
    return ServiceSnapshot(started=1.0, endpoints=(endpoint,))


def packed(store: Kept, count: int, said: int) -> list[socket.socket]:
    """Pack as many connections as `count`, with a state that says `said`; return the clients."""
    pairs = [socket.socketpair() for _ in range(count)]
    with ExitStack() as ending:
        sockets = [ending.enter_context(ours) for ours, _ in pairs]
        restart.pack(state_of(said), sockets, store)
    return [theirs for _, theirs in pairs]


def received(store: Kept) -> tuple[tuple[EndpointSnapshot, ...], list[socket.socket]]:
    inherited = parse(store.pass_on())
    return restart.receive(inherited.connections, restart.read_state(inherited.state))


@pytest.mark.parametrize("count", [0, 1, 250, 251, 600])
def test_so_many_connections_arrive_in_their_order(store: Kept, count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    try:
        clients = packed(store, count, count)
        (endpoint,), sockets = received(store)
        assert [one.pid for one in endpoint.connections] == list(range(count))
        assert len(sockets) == count
        for number, (ours, theirs) in enumerate(zip(sockets, clients, strict=True)):
            assert not ours.getblocking()
            assert not ours.get_inheritable()
            theirs.sendall(b"%d" % number)
            assert ours.recv(10) == b"%d" % number
            ours.close()
            theirs.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(("count", "said"), [(3, 4), (4, 3)])
def test_connections_that_do_not_match_the_state_read_end_of_file(
    store: Kept, count: int, said: int, caplog: pytest.LogCaptureFixture
) -> None:
    clients = packed(store, count, said)
    clients[0].sendall(b"not read by anybody")
    (endpoint,), sockets = received(store)
    assert (endpoint.connections, sockets) == ((), [])
    assert f"{count} of {said} connections arrived" in caplog.text
    for client in clients:
        assert client.recv(10) == b""  # a reset would raise
        client.close()


def test_connections_without_a_state_read_end_of_file(store: Kept) -> None:
    (client,) = packed(store, 1, 1)
    store.drop(STATE)
    assert received(store) == ((), [])
    assert client.recv(10) == b""
    client.close()


def test_a_state_of_garbage_is_refused(store: Kept, caplog: pytest.LogCaptureFixture) -> None:
    (client,) = packed(store, 1, 1)
    os.pwrite(store.held[STATE][0], b"garbage!", 0)
    assert received(store) == ((), [])
    assert "the stored state is not of localechod" in caplog.text
    assert client.recv(10) == b""
    client.close()


def test_what_the_kernel_will_not_carry_is_an_error(
    store: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(109, os.strerror(109))  # ETOOMANYREFS: too many descriptors under way

    monkeypatch.setattr(socket, "send_fds", refuse)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(OSError, match="Too many references"):
        restart.pack(state_of(1), [ours], store)
    restart.discard(store)
    assert store.held == {}


def connect(path: Path, kind: int = socket.SOCK_STREAM) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, kind)
    client.connect(str(path))
    client.setblocking(False)
    return client


async def read(client: socket.socket, size: int) -> bytes:
    data = b""
    loop = asyncio.get_running_loop()
    while len(data) < size and (part := await loop.sock_recv(client, size - len(data))):
        data += part
    return data


async def settled(supervisor: Supervisor, **expected: int) -> None:
    """Wait until the counters of the first endpoint are these."""
    while True:
        status = supervisor.status()[0]
        if {name: getattr(status, name) for name in expected} == expected:
            return
        await asyncio.sleep(0)  # the data plane's turn


@pytest.mark.parametrize(
    ("settings", "first", "rest", "reply"),
    [
        ("", b"one\ntw", b"o\n", b"Hi, one\nHi, two\n"),
        ('framing = "record"\nrecord_size = 8\n', b"one" + bytes(5) + b"tw", b"o" + bytes(5),
         b"Hi, one\0Hi, two\0"),
        ('framing = "chunk"\n', b"one", b"two", b"Hi, oneHi, two"),
    ],
    ids=["line", "record", "chunk"],
)  # fmt: skip
def test_a_message_that_was_half_read_is_answered_once_and_whole(
    store: Kept, sockdir: Path, settings: str, first: bytes, rest: bytes, reply: bytes
) -> None:
    clients: list[socket.socket] = []

    async def before(supervisor: Supervisor) -> None:
        clients.append(connect(sockdir / "a.sock"))
        clients[0].sendall(first)
        await settled(supervisor, received_bytes_total=len(first), messages_total=1)

    async def after(supervisor: Supervisor) -> None:
        (client,) = clients
        client.sendall(rest)
        assert await read(client, len(reply)) == reply
        await settled(supervisor, messages_total=2, accepted_total=1, connections=1)
        (row,) = supervisor.peers()
        assert (row.pid, row.messages, row.sent_bytes) == (os.getpid(), 2, len(reply))
        assert row.received_bytes == len(first + rest)
        client.close()
        await settled(supervisor, connections=0)

    live(store, sockdir, LINE + settings, before)
    live(store, sockdir, LINE + settings, after)


def test_records_of_a_packet_connection_go_on(store: Kept, sockdir: Path) -> None:
    clients: list[socket.socket] = []
    text = '[endpoints.a]\ntype = "seqpacket"\n'

    async def before(supervisor: Supervisor) -> None:
        clients.append(connect(sockdir / "a.sock", socket.SOCK_SEQPACKET))
        clients[0].send(b"one")
        await settled(supervisor, messages_total=1)

    async def after(_: Supervisor) -> None:
        loop = asyncio.get_running_loop()
        for message in (b"", b"two"):
            clients[0].send(message)
        replies = [await loop.sock_recv(clients[0], 100) for _ in range(3)]
        assert replies == [b"Hi, one", b"Hi, ", b"Hi, two"]
        clients[0].close()

    live(store, sockdir, text, before)
    live(store, sockdir, text, after)


def test_datagrams_that_nobody_has_read_wait_in_the_socket(store: Kept, sockdir: Path) -> None:
    text = '[endpoints.a]\ntype = "datagram"\n'
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client.bind(str(sockdir / "client"))
    client.setblocking(False)

    async def nothing(_: Supervisor) -> None:
        """End at once."""

    async def after(_: Supervisor) -> None:
        assert await asyncio.get_running_loop().sock_recv(client, 100) == b"Hi, between"

    live(store, sockdir, text, nothing)
    client.connect(str(sockdir / "a.sock"))
    client.send(b"between")
    live(store, sockdir, text, after)
    client.close()


def kept_connection(store: Kept) -> ConnectionSnapshot:
    data = os.pread(store.held[STATE][0], 1 << 25, 0)
    (found,) = decode(data).endpoints[0].connections
    return found


def test_replies_that_were_not_taken_are_sent_by_the_next_process(
    store: Kept, sockdir: Path
) -> None:
    clients: list[socket.socket] = []
    sent = bytearray()

    async def before(_: Supervisor) -> None:
        client = connect(sockdir / "a.sock")
        clients.append(client)
        stuck = 0
        while stuck < 1000:  # until the daemon reads no more, having had its turn each time
            try:
                part = b"%d\n" % len(sent)
                sent.extend(part[: client.send(part)])
                stuck = 0
            except BlockingIOError:
                stuck += 1
                await asyncio.sleep(0)

    async def after(_: Supervisor) -> None:
        (client,) = clients
        client.shutdown(socket.SHUT_WR)
        lines = bytes(sent).splitlines(keepends=True)
        assert await read(client, 1 << 30) == b"".join(b"Hi, " + line for line in lines)
        client.close()

    live(store, sockdir, LINE, before)
    assert kept_connection(store).unsent
    live(store, sockdir, LINE, after)


def test_a_connection_that_was_about_to_end_ends_when_everything_is_sent(
    store: Kept, sockdir: Path
) -> None:
    clients: list[socket.socket] = []
    prefix = "p" * 255

    async def before(supervisor: Supervisor) -> None:
        clients.append(connect(sockdir / "a.sock"))
        clients[0].sendall(b"\n" * 3000 + b"x" * 1000)
        await settled(supervisor, received_bytes_total=4000)

    async def after(_: Supervisor) -> None:
        assert await read(clients[0], 1 << 30) == f"{prefix}\n".encode() * 3000
        clients[0].close()

    text = f'{LINE}prefix = "{prefix}"\nmax_message = 100\n'
    live(store, sockdir, text, before)
    kept = kept_connection(store)
    assert kept.unsent
    assert kept.ending
    live(store, sockdir, text, after)


def test_limits_count_those_who_were_there_before(store: Kept, sockdir: Path) -> None:
    clients: list[socket.socket] = []
    text = LINE + "max_connections_per_user = 1\n"

    async def before(supervisor: Supervisor) -> None:
        clients.append(connect(sockdir / "a.sock"))
        await settled(supervisor, accepted_total=1)

    async def after(supervisor: Supervisor) -> None:
        with connect(sockdir / "a.sock") as second:
            assert await read(second, 1) == b""
        assert supervisor.status()[0].errors == {"user_limit": 1}
        clients[0].close()
        await settled(supervisor, connections=0)
        with connect(sockdir / "a.sock") as third:
            third.sendall(b"x\n")
            assert await read(third, 6) == b"Hi, x\n"

    live(store, sockdir, text, before)
    live(store, sockdir, text, after)


def test_nobody_is_hung_up_on_after_the_freeze(store: Kept, sockdir: Path) -> None:
    """An idle connection's time may come while the loop winds up, and it is somebody else's."""

    async def before(supervisor: Supervisor) -> None:
        with connect(sockdir / "a.sock") as client:
            await settled(supervisor, accepted_total=1)
            supervisor.freeze()
            client.sendall(b"x\n")
            await asyncio.sleep(0.1)
            with pytest.raises(BlockingIOError):
                client.recv(1)
            supervisor.unfreeze()
            assert await read(client, 6) == b"Hi, x\n"

    live(store, sockdir, LINE + "idle_timeout = 0.05\n", before)


@pytest.mark.parametrize(
    "text", ['[endpoints.b]\ntype = "stream"\n', LINE + "enabled = false\n[endpoints.b]\n"
             'type = "stream"\n', '[endpoints.a]\ntype = "seqpacket"\n'],
    ids=["removed", "disabled", "of another type"],
)  # fmt: skip
def test_clients_of_an_endpoint_that_is_no_more_read_end_of_file(
    store: Kept, sockdir: Path, text: str
) -> None:
    clients: list[socket.socket] = []

    async def before(supervisor: Supervisor) -> None:
        clients.append(connect(sockdir / "a.sock"))
        await settled(supervisor, accepted_total=1)

    async def after(_: Supervisor) -> None:
        assert await read(clients[0], 1) == b""
        clients[0].close()

    live(store, sockdir, LINE, before)
    live(store, sockdir, text, after)
    assert (sockdir / "a.sock").exists() == ("seqpacket" in text)


def test_other_settings_count_for_those_who_stay(store: Kept, sockdir: Path) -> None:
    clients: list[socket.socket] = []

    async def before(supervisor: Supervisor) -> None:
        clients.append(connect(sockdir / "a.sock"))
        clients[0].sendall(b"ha")
        await settled(supervisor, received_bytes_total=2)

    async def after(_: Supervisor) -> None:
        clients[0].sendall(b"lf\n")
        assert await read(clients[0], 7) == b"> half\n"
        clients[0].close()

    live(store, sockdir, LINE, before)
    live(store, sockdir, LINE + 'prefix = "> "\nmode = "0600"\n', after)
    assert (sockdir / "a.sock").stat().st_mode & 0o777 == 0o600
