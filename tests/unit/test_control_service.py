"""Every call, over a real socket, against a fake daemon."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from localechod.control.messages import ReceivedEvent
from localechod.control.wire import control_pb2 as pb
from localechod.echo.events import Event
from localechod.echo.status import PeerRow
from localechod.errors import ConfigError, LocalechodError, SocketError, UsageError
from localechod.limits import ANSWER_ROWS
from localechod.localsocket.peer import pid_namespace
from tests.unit.control_fakes import (
    NOBODY,
    OWN_UID,
    FakeDaemon,
    LoopFactory,
    ThreadedClient,
    on_each_loop,
    run,
    served,
)

pytestmark = on_each_loop


@pytest.fixture
def path(sockdir: Path) -> Path:
    return sockdir / "control.sock"


async def newest(notices: AsyncIterator[ReceivedEvent], count: int) -> list[str]:
    return [(await anext(notices)).event.text for _ in range(count)]


def test_status_returns_every_field_of_daemon_and_endpoints(
    factory: LoopFactory, path: Path
) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        async with served(path, daemon), ThreadedClient(str(path)) as client:
            report = await client.status()
            assert report.daemon == daemon.info()
            assert report.endpoints == list(daemon.supervisor.rows.values())
            assert [row.name for row in (await client.status(["datagram"])).endpoints] == [
                "datagram"
            ]
            with pytest.raises(UsageError, match='there is no endpoint "x"; there are: stream'):
                await client.status(["stream", "x"])

    run(factory, main)


@pytest.mark.parametrize(
    ("what", "state"), [("start", "listening"), ("stop", "stopped"), ("restart", "listening")]
)
def test_a_change_reaches_the_supervisor_and_its_outcome_the_caller(
    factory: LoopFactory, path: Path, what: str, state: str
) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        async with served(path, daemon), ThreadedClient(str(path)) as client:
            change = getattr(client, what)
            assert (await change("stream")).state == state
            with pytest.raises(UsageError, match="there is no endpoint"):
                await change("x")
            assert daemon.supervisor.calls == [(what, "stream")]

    run(factory, main)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SocketError("bind", 13, "/var/lib/x", 'bind_as = "root"'), Status.FAILED_PRECONDITION),
        (LocalechodError("takes root", "systemctl restart"), Status.FAILED_PRECONDITION),
        (ConfigError("bad"), Status.INVALID_ARGUMENT),
        (UsageError("bad"), Status.INVALID_ARGUMENT),
    ],
    ids=str,
)
def test_an_error_has_its_status_for_any_client_and_all_fields_for_ours(
    factory: LoopFactory, path: Path, error: LocalechodError, status: Status
) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        daemon.supervisor.failures["stream"] = error
        async with served(path, daemon), ThreadedClient(str(path)) as client:
            with pytest.raises(LocalechodError) as caught:
                await client.start("stream")
            assert str(caught.value) == str(error)
            assert caught.value.exit_status == error.exit_status
            with pytest.raises(GRPCError) as plain:
                await client._stub.Start(pb.EndpointRequest(name="stream"))
            assert (plain.value.status, plain.value.message) == (status, str(error))

    run(factory, main)


def test_reload_returns_its_report(factory: LoopFactory, path: Path) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        async with served(path, daemon), ThreadedClient(str(path)) as client:
            report = await client.reload()
            assert list(report.added) == ["new"]
            assert list(report.unchanged) == ["stream"]

    run(factory, main)


def test_a_failed_reload_is_returned_and_logged(
    factory: LoopFactory, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        daemon.failure = ConfigError("/etc/x.toml: mode: wrong")
        async with served(path, daemon), ThreadedClient(str(path)) as client:
            with pytest.raises(ConfigError, match="mode: wrong"):
                await client.reload()

    with caplog.at_level(logging.WARNING):
        run(factory, main)
    assert [record.message for record in caplog.records] == [
        "reload failed: /etc/x.toml: mode: wrong"
    ]


def test_a_reload_finishes_although_its_caller_disconnects(
    factory: LoopFactory, path: Path
) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        daemon.may_reload.clear()
        async with served(path, daemon) as server:
            async with ThreadedClient(str(path)) as client:
                asking = asyncio.ensure_future(client._stub.Reload(pb.ReloadRequest()))
                await daemon.reload_began.wait()
                (call,) = server._interceptor.calls
                asking.cancel()
                await asyncio.wait([asking])
            await asyncio.wait([call])
            assert daemon.reloads == 0
            daemon.may_reload.set()
            (work,) = server._service._reloads
            await work
            assert daemon.reloads == 1

    run(factory, main)


def test_a_reload_that_is_cancelled_by_the_end_of_the_loop_is_no_error(
    factory: LoopFactory, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        daemon.may_reload.clear()
        async with served(path, daemon) as server, ThreadedClient(str(path)) as client:
            asking = asyncio.ensure_future(client._stub.Reload(pb.ReloadRequest()))
            await daemon.reload_began.wait()
            asking.cancel()
            (work,) = server._service._reloads
            work.cancel()
            await asyncio.wait([work, asking])

    run(factory, main)
    assert not caplog.records


def test_config_arrives_byte_for_byte_and_cannot_write_to_a_terminal(
    factory: LoopFactory, path: Path
) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        async with served(path, daemon), ThreadedClient(str(path)) as client:
            assert await client.config() == daemon.toml
            daemon.toml = 'a = "\x1b[2J"\n'
            assert await client.config() == 'a = "\\x1b[2J"\n'

    run(factory, main)


def peer(endpoint: str, uid: int) -> PeerRow:
    return PeerRow(
        endpoint=endpoint,
        pid=uid + 1,
        uid=uid,
        connected_seconds=1.5,
        messages=1,
        received_bytes=2,
        sent_bytes=3,
    )


def test_an_administrator_sees_every_peer_and_others_their_own(
    factory: LoopFactory, path: Path
) -> None:
    async def main(own_uid: int) -> list[PeerRow]:
        daemon = FakeDaemon()
        daemon.supervisor.connected = [peer("stream", OWN_UID), peer("datagram", NOBODY)]
        async with served(path, daemon, own_uid=own_uid), ThreadedClient(str(path)) as client:
            report = await client.peers()
            assert report.pid_namespace == pid_namespace()
            assert {row.endpoint for row in (await client.peers("stream")).peers} == {"stream"}
            with pytest.raises(UsageError):
                await client.peers("x")
            return report.peers

    assert run(factory, lambda: main(OWN_UID)) == [
        peer("stream", OWN_UID),
        peer("datagram", NOBODY),
    ]
    assert run(factory, lambda: main(4711)) == [peer("stream", OWN_UID)]


EVENTS = [
    Event("refused", "stream", "own", uid=OWN_UID, pid=1),
    Event("refused", "stream", "other's", uid=NOBODY, pid=2),
    Event("state", "stream", "nobody's", state="failed"),
]


@pytest.mark.parametrize(
    ("own_uid", "seen"), [(OWN_UID, ["own", "other's", "nobody's"]), (4711, ["own", "nobody's"])]
)
def test_a_non_administrator_does_not_see_events_about_others(
    factory: LoopFactory, path: Path, own_uid: int, seen: list[str]
) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        bus = daemon.supervisor.events
        async with served(path, daemon, own_uid=own_uid), ThreadedClient(str(path)) as client:
            async with client.events(recent=0) as notices:
                for event in EVENTS:
                    bus.publish(event)
                assert await newest(notices, len(seen)) == seen
            past = await client.past(10)
            assert [notice.event.text for notice in past] == seen

    run(factory, main)


def test_past_and_future_come_in_one_stream_each_once(factory: LoopFactory, path: Path) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        supervisor = daemon.supervisor
        async with served(path, daemon), ThreadedClient(str(path)) as client:
            supervisor.become("stream", "failed")
            supervisor.become("stream", "starting")
            async with client.events(recent=1) as notices:
                supervisor.become("stream", "listening")
                notice = await anext(notices)
                assert notice.event.state == "starting"
                assert notice.event.endpoint == "stream"
                assert notice.event.uid is None
                assert (await anext(notices)).event.state == "listening"

    run(factory, main)


def test_a_slow_caller_is_told_how_many_events_it_missed(factory: LoopFactory, path: Path) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        async with (
            served(path, daemon),
            ThreadedClient(str(path)) as client,
            client.events(recent=0) as notices,
        ):
            for number in range(1000):
                daemon.supervisor.events.publish(Event("state", "stream", str(number)))
            first = await anext(notices)
            assert first.dropped == int(first.event.text) == 1000 - 256
            assert (await anext(notices)).dropped == 0

    run(factory, main)


def test_following_ends_when_the_daemon_does(factory: LoopFactory, path: Path) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        async with ThreadedClient(str(path)) as client, served(path, daemon) as server:
            async with client.events(recent=0) as notices:
                daemon.supervisor.become("stream", "stopped")
                closing = asyncio.ensure_future(server.close(5.0))
                assert [n.event.text async for n in notices] == ["stream is stopped"]
            await closing

    run(factory, main)


def test_a_long_answer_lets_everything_else_run_in_between(
    factory: LoopFactory, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slices(count: int) -> int:
        async def main() -> int:
            daemon = FakeDaemon()
            turns = at_first = at_last = 0

            def connected() -> Iterator[PeerRow]:
                nonlocal at_first, at_last
                at_first = turns
                for _ in range(count):
                    at_last = turns
                    yield peer("stream", OWN_UID)

            monkeypatch.setattr(daemon.supervisor, "peers", lambda _name, _uid: connected())
            async with served(path, daemon), ThreadedClient(str(path)) as client:
                call = asyncio.ensure_future(client.peers())
                while not call.done():
                    turns += 1
                    await asyncio.sleep(0)
                assert len((await call).peers) == count
            return at_last - at_first

        return run(factory, main)

    assert slices(ANSWER_ROWS) == 0
    assert slices(100 * ANSWER_ROWS) >= 99
