"""The caller's identity and the limits of a connection, over real sockets, on both loops."""

import asyncio
import gc
import logging
import os
from contextlib import suppress
from pathlib import Path

import pytest
from grpclib.protocol import Stream
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, TrailersReceived

from localechod.control import connection
from localechod.control.wire import control_pb2 as pb
from localechod.errors import NotPermittedError, UsageError
from localechod.limits import CONTROL_CONNECTIONS_PER_USER, REQUEST_BYTES
from localechod.localsocket.peer import Credentials
from tests.attacks.frames import begin
from tests.unit.control_fakes import (
    FakeDaemon,
    LoopFactory,
    ThreadedClient,
    on_each_loop,
    run,
    served,
)
from tests.unit.http2_frames import PREFACE, frame

STATUS = "/localechod.v1.Control/Status"
HEALTH = "/grpc.health.v1.Health/Check"

pytestmark = on_each_loop


async def raw_call(path: Path, body: bytes, method: str = STATUS) -> dict[str, str]:
    """Send bytes as the body of a call, with no gRPC library in between; return the trailers."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    http.initiate_connection()
    headers = [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "x")]
    headers += [("te", "trailers"), ("content-type", "application/grpc")]
    http.send_headers(1, headers)
    for start in range(0, len(body), 16384):
        http.send_data(1, body[start : start + 16384])
    http.end_stream(1)
    found: dict[str, str] = {}
    while "grpc-status" not in found:
        writer.write(http.data_to_send())
        data = await reader.read(65536)
        assert data, "the connection was closed without an answer"
        for event in http.receive_data(data):
            if isinstance(event, ResponseReceived | TrailersReceived):
                found |= {str(name): str(value) for name, value in event.headers}
            elif isinstance(event, DataReceived):
                http.acknowledge_received_data(event.flow_controlled_length, 1)
    writer.close()
    return found


def message(body: bytes, *, flag: int = 0, announced: int | None = None) -> bytes:
    length = len(body) if announced is None else announced
    return bytes([flag]) + length.to_bytes(4, "big") + body


def test_the_caller_has_the_kernels_credentials(
    factory: LoopFactory, sockdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fails if grpclib no longer makes its connections where we override it."""

    async def main() -> None:
        daemon = FakeDaemon()
        path = sockdir / "control.sock"
        async with served(path, daemon, own_uid=4711), ThreadedClient(str(path)) as client:
            with pytest.raises(NotPermittedError, match=f"uid {os.geteuid()} is not an admin"):
                await client.reload()

    with caplog.at_level(logging.WARNING):
        run(factory, main)
    (record,) = caplog.records
    fields = record.__dict__["fields"]
    assert fields["PEER_PID"] == str(os.getpid())
    assert fields["PEER_UID"] == str(os.geteuid())
    assert fields["METHOD"] == "/localechod.v1.Control/Reload"
    assert len(fields["MESSAGE_ID"]) == 32


def test_one_connection_too_many_is_closed_at_once_and_logged_once(
    factory: LoopFactory, sockdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = sockdir / "control.sock"

    async def main() -> None:
        async with served(path, FakeDaemon()):
            held = [
                await asyncio.open_unix_connection(str(path))
                for _ in range(CONTROL_CONNECTIONS_PER_USER)
            ]
            for reader, _ in held:
                assert await reader.read(1), "the first byte of the server's settings"
            for _ in range(3):
                reader, writer = await asyncio.open_unix_connection(str(path))
                assert await reader.read() == b""
                writer.close()
            for _, writer in held:
                writer.close()
                await writer.wait_closed()
            async with ThreadedClient(str(path)) as client:
                assert (await client.status()).endpoints, "another connection is accepted"

    with caplog.at_level(logging.WARNING):
        run(factory, main)
    (record,) = caplog.records
    assert "has 16 control connections already" in record.message


@pytest.mark.parametrize("step", ["peer_of", "_Known"], ids=["at first", "at last"])
def test_a_connection_that_cannot_be_made_is_closed_and_delays_no_stop(
    factory: LoopFactory,
    sockdir: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    path = sockdir / "control.sock"

    def fail(_: object) -> None:
        raise MemoryError

    async def main() -> None:
        async with served(path, FakeDaemon()):
            with monkeypatch.context() as patched:
                patched.setattr(connection, step, fail)
                for _ in range(CONTROL_CONNECTIONS_PER_USER + 1):
                    reader, writer = await asyncio.open_unix_connection(str(path))
                    writer.write(b"PRI * HTTP/2.0")
                    with suppress(ConnectionResetError):
                        await reader.read()  # to the end
                    writer.close()
            async with ThreadedClient(str(path)) as client:
                assert (await client.status()).endpoints, "none of them counts any more"

    run(factory, main)
    (record,) = caplog.records
    assert record.message == "control connection: internal error"


WHOLE = message(pb.StatusRequest(names=["stream"]).SerializeToString())


@pytest.mark.parametrize(
    ("body", "method", "status", "cause"),
    [
        (WHOLE, STATUS, "0", ""),
        (message(b"", announced=2**32 - 1), STATUS, "8", "at most 65536"),
        (message(b"", announced=REQUEST_BYTES + 1), HEALTH, "8", "at most 65536"),
        (message(b"\xff\xff\xff"), STATUS, "3", "the request is not a localechod.v1.StatusRequest"),
        (message(b"\xff\xff\xff"), HEALTH, "3", "the request is not a grpc.health.v1.Health"),
        (message(b"", flag=1), STATUS, "3", "cannot be read: Compression"),
        (WHOLE[:-2], STATUS, "3", "cannot be read"),
        (b"", STATUS, "3", "without a request"),
        (b"", HEALTH, "3", "without a request"),
        (WHOLE, "/localechod.v1.Control/Destroy", "12", "there is no such method"),
        (WHOLE, "/", "12", "there is no such method"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_invalid_request_gets_an_error_and_no_traceback(
    factory: LoopFactory,
    sockdir: Path,
    caplog: pytest.LogCaptureFixture,
    body: bytes,
    method: str,
    status: str,
    cause: str,
) -> None:
    path = sockdir / "control.sock"

    async def main() -> dict[str, str]:
        async with served(path, FakeDaemon()):
            return await raw_call(path, body, method)

    found = run(factory, main)
    assert found["grpc-status"] == status
    assert cause in found.get("grpc-message", "")
    assert not [record for record in caplog.records if record.exc_info]


def test_a_request_as_large_as_is_allowed_is_read(factory: LoopFactory, sockdir: Path) -> None:
    path = sockdir / "control.sock"

    async def main() -> None:
        name = "x" * (REQUEST_BYTES - 4)
        body = pb.EndpointRequest(name=name).SerializeToString()
        assert len(body) == REQUEST_BYTES
        async with served(path, FakeDaemon()), ThreadedClient(str(path)) as client:
            with pytest.raises(UsageError, match=r"there is no endpoint \"xxx.*\(cut\)"):
                await client.stop(name)

    run(factory, main)


def test_an_unknown_method_is_logged_and_published_with_its_caller(
    factory: LoopFactory, sockdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = sockdir / "control.sock"

    async def main() -> str:
        daemon = FakeDaemon()
        subscription = daemon.supervisor.events.subscribe()
        async with served(path, daemon):
            await raw_call(path, WHOLE, "/localechod.v1.Control/Destroy\x1b[2J")
        daemon.supervisor.events.close()
        (event,) = [event async for event in subscription]
        assert (event.kind, event.uid, event.pid) == ("refused", os.geteuid(), os.getpid())
        return event.text

    with caplog.at_level(logging.WARNING):
        text = run(factory, main)
    (record,) = caplog.records
    assert text == record.message
    assert text.startswith(
        r"control /localechod.v1.Control/Destroy\x1b[2J refused: there is no such method; "
        f"pid {os.getpid()} ("
    )
    assert record.__dict__["fields"]["METHOD"] == r"/localechod.v1.Control/Destroy\x1b[2J"


def test_a_user_who_sends_too_much_gets_goaway_and_no_other_user(
    factory: LoopFactory,
    sockdir: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = sockdir / "control.sock"
    mallory = Credentials(1, 4712, 4712, frozenset({4712}))

    async def flood() -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(PREFACE + frame(4))
        with suppress(OSError):
            while not reader.at_eof():
                writer.write(frame(6, b"12345678") * 100)
                await writer.drain()
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.001)
        with suppress(OSError):
            return await reader.read()
        return b""

    async def main() -> None:
        async with served(path, FakeDaemon()), ThreadedClient(str(path)) as client:
            await client.status()
            with monkeypatch.context() as patched:
                patched.setattr(connection, "peer_of", lambda _: mallory)
                for _ in range(3):
                    await flood()
            assert (await client.status()).endpoints, "others are served on"

    with caplog.at_level(logging.WARNING):
        run(factory, main)
    (record,) = caplog.records
    assert "uid 4712 sends more than 8192 bytes a second" in record.message


def test_a_frame_of_an_unknown_type_is_ignored(
    factory: LoopFactory, sockdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = sockdir / "control.sock"

    async def main() -> None:
        async with served(path, FakeDaemon()):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(PREFACE + frame(4))
            writer.write(frame(0xBB, b"unknown") + frame(10, b"\0\1xy", 0) + frame(6, b"12345678"))
            got = b""
            while frame(6, b"12345678", flags=1) not in got:
                more = await reader.read(1000)
                assert more, "the connection goes on"
                got += more
            writer.close()

    with caplog.at_level(logging.WARNING):
        run(factory, main)
    assert not caplog.records


def test_calls_that_are_reset_at_once_leave_nothing(factory: LoopFactory, sockdir: Path) -> None:
    path = sockdir / "control.sock"
    numbers = range(1, 2000, 2)
    resets = [begin(n, "Status") + frame(3, b"\0\0\0\x08", n) for n in numbers]

    async def main() -> None:
        async with served(path, FakeDaemon()):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(PREFACE + b"".join(resets) + frame(6, b"12345678"))
            got = b""
            while frame(6, b"12345678", flags=1) not in got:
                got += await reader.read(1000)
            gc.collect()
            streams = sum(isinstance(each, Stream) for each in gc.get_objects())
            writer.close()
        # Those of the last read, and those that grpclib keeps until its next round of ten calls.
        assert streams < 100

    run(factory, main)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"hello\n" * 100,
        PREFACE + frame(4) + frame(0xBB, b"unknown"),
        PREFACE + frame(4) + frame(10, b"\0\1xy", 0),
        PREFACE + frame(4) + frame(1, b"\xff" * 20, 1),
    ],
    ids=["http1", "text", "unknown-frame", "altsvc", "bad-headers"],
)
def test_invalid_http2_ends_its_connection_and_nothing_else(
    factory: LoopFactory, sockdir: Path, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    path = sockdir / "control.sock"

    async def main() -> None:
        async with served(path, FakeDaemon()), ThreadedClient(str(path)) as client:
            await client.status()
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(data)
            writer.write_eof()
            with suppress(ConnectionResetError):  # where more was sent than one read
                await reader.read()
            writer.close()
            assert (await client.status()).endpoints, "others are served on"

    run(factory, main)
    assert not [record for record in caplog.records if record.exc_info]
