"""The control socket keeps to RFC 9113, whatever a client sends.

http2_table.py and http2_tolerated.py have the cases.
"""

import asyncio
import logging
from pathlib import Path

import pytest

from tests.unit.control_fakes import FakeDaemon, ThreadedClient, run, served
from tests.unit.http2_frames import (
    ACK,
    DATA,
    GOAWAY,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Frame,
    frame,
    frames,
    settings,
)
from tests.unit.http2_table import CASES, Sent
from tests.unit.http2_tolerated import TOLERATED
from tests.unit.loops import new_loop


class Wire:
    """A client's connection, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._received = b""
        self.ended = False
        self._pings = 0

    @property
    def frames(self) -> list[Frame]:
        """What the server has sent."""
        return frames(self._received)

    @property
    def reaction(self) -> str:
        """What the server did; see http2_table.py."""
        found = self.frames
        for kind, name in ((GOAWAY, "goaway"), (RST_STREAM, "reset")):
            errors = [each.error for each in found if each.kind == kind]
            # grpclib resets the stream of a refused call, which may still send.
            if errors := [error for error in errors if error != "NO_ERROR"]:
                return f"{name} {errors[-1]}"
        if self.ended:
            return "closed"
        answers = [each for each in found if each.ends_stream]
        if not answers:
            return "ignored"
        messages = {each.stream for each in found if each.kind == DATA and each.payload}
        return "answered" if answers[-1].stream in messages else "refused"

    async def read(self) -> None:
        """Receive something, or the end."""
        try:
            more = await self._reader.read(1 << 16)
        except ConnectionError:
            more = b""
        self._received += more
        self.ended = not more

    async def ping(self) -> None:
        """Return after all that was sent before has been handled, or after the end."""
        self._pings += 1
        number = self._pings.to_bytes(8, "big")
        self.writer.write(frame(PING, number))
        while not self.ended and Frame(PING, ACK, 0, number) not in self.frames:
            await self.read()

    def forget(self) -> None:
        """Leave what was received up to now out of the reaction."""
        self._received = b""


async def react(path: Path, sent: Sent, expected: str) -> str:
    """Send bytes, and return how the server reacts."""
    wire = Wire(*await asyncio.open_unix_connection(str(path)))
    wire.writer.write(PREFACE + settings() + frame(SETTINGS, flags=ACK))
    await wire.ping()  # so that the server reads at once what follows, and answers no call before
    wire.forget()
    *before, last = sent if isinstance(sent, list) else [sent]
    for part in before:
        wire.writer.write(part)
        while wire.reaction != "answered":
            assert not wire.ended
            await wire.read()
        wire.forget()
    wire.writer.write(last)
    if expected != "closed":
        await wire.ping()
        await wire.ping()  # after a turn of the server's loop
    while expected in {"answered", "refused"} and wire.reaction == "ignored":
        await wire.read()
    while expected.startswith(("goaway", "closed")) and not wire.ended:
        await wire.read()
    wire.writer.close()
    return wire.reaction


def check(path: Path, sent: Sent, expected: str, caplog: pytest.LogCaptureFixture) -> None:
    """Compare the reaction; also no traceback, and others are served."""

    async def main() -> str:
        async with served(path, FakeDaemon()), ThreadedClient(str(path)) as client:
            reaction = await react(path, sent, expected)
            assert (await client.status()).endpoints
            return reaction

    with caplog.at_level(logging.WARNING):
        assert run(new_loop, main) == expected
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [row[2:] for row in CASES],
    ids=[f"{section}-{title}" for section, title, *_ in CASES],
)
def test_frames_get_the_reaction_of_rfc_9113(
    sockdir: Path, caplog: pytest.LogCaptureFixture, sent: Sent, expected: str
) -> None:
    check(sockdir / "control.sock", sent, expected, caplog)


@pytest.mark.parametrize(
    ("sent", "wanted", "expected", "reason"),
    [row[2:] for row in TOLERATED],
    ids=[f"{section}-{title}" for section, title, *_ in TOLERATED],
)
def test_another_reaction_is_known_and_harms_the_sender_alone(
    sockdir: Path,
    caplog: pytest.LogCaptureFixture,
    sent: Sent,
    wanted: str,
    expected: str,
    reason: str,
) -> None:
    assert wanted != expected
    assert reason
    check(sockdir / "control.sock", sent, expected, caplog)
