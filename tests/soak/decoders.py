"""One pure decoder under atheris: `python -m tests.soak.decoders NAME [libFuzzer's options]`.

What may be raised is what the decoder says it raises; anything else is a finding.
"""

import struct
import sys
from contextlib import suppress
from pathlib import Path

from google.protobuf.message import DecodeError

from localechod import config
from localechod.control.convert import from_wire
from localechod.control.wire import control_pb2 as pb
from localechod.echo.persist.snapshot import SnapshotError, decode
from localechod.echo.status import EndpointStatus
from localechod.errors import ConfigError
from localechod.framing.framers import ChunkFramer, LineFramer, RecordFramer
from localechod.framing.interface import Framer, MessageTooLongError
from localechod.localsocket import diag, netlink


def framing(data: bytes) -> None:
    """Feed all framings, cut into reads as the first byte says; replies must not depend on it."""
    size = data[0] % 9 + 1 if data else 1
    makers = (
        lambda: LineFramer(b"Hi, ", 40),
        lambda: RecordFramer(b"Hi, ", 20, 32),
        lambda: ChunkFramer(b""),
    )
    for make in makers:
        whole = _replies(make(), [data])
        cut = _replies(make(), [data[at : at + size] for at in range(0, len(data), size)])
        if whole != cut:
            raise AssertionError(f"cut by {size}: {cut!r} instead of {whole!r}")


def _replies(framer: Framer, parts: list[bytes]) -> bytes:
    replies = b""
    try:
        for part in parts:
            replies += bytes(framer.feed(part)) if part else b""
    except MessageTooLongError as error:
        return replies + bytes(error.replies)
    return replies + bytes(framer.finish())


def wire(data: bytes) -> None:
    """Read a reply as the client does."""
    with suppress(DecodeError):
        message = pb.StatusReply.FromString(data)
        for row in message.endpoints:
            found = from_wire(row, EndpointStatus)
            if not found.name.isprintable():
                raise AssertionError(f"{found.name!r} would reach a terminal")


def state(data: bytes) -> None:
    """Read the state of a process before this one; also behind a good head."""
    for whole in (data, b"localechod-state" + (1).to_bytes(4, "big") + data):
        with suppress(SnapshotError):
            decode(whole)


def netlink_(data: bytes) -> None:
    """Read what the kernel would never send."""
    with suppress(OSError):
        for _kind, _flags, payload in netlink.split(data):
            with suppress(struct.error):
                diag.decode(payload)


def configuration(data: bytes) -> None:
    """Read a configuration file of anything."""
    text = data.decode("utf-8", "replace")
    for whole in (text, f"version = 1\n[endpoints.a]\n{text}"):
        with suppress(ConfigError):
            config.parse(whole, Path("/run/localechod"), "fuzz")


DECODERS = {
    "framing": framing,
    "wire": wire,
    "state": state,
    "netlink": netlink_,
    "config": configuration,
}


def main() -> None:
    """Fuzz until a crash or until libFuzzer's options say that it is enough."""
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore] # noqa: PLC0415 - optional

    decoder = DECODERS[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, decoder)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
