"""Entries for the journal, and a journald whose queue another user keeps full."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from localechod.host.journal import Journal

_FILLER = b"MESSAGE=of another user\n"


def test_a_line_that_cannot_be_sent_goes_to_standard_error(
    sockdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Journal(sockdir / "missing", print)("hello", PRIORITY="4")
    assert capsys.readouterr().err == (
        "sending to the journal failed: No such file or directory (2): hello\n"
    )


def test_a_full_queue_delays_no_loop_and_loses_no_line(sockdir: Path) -> None:
    path = sockdir / "journal"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
    ):
        journald.bind(str(path))
        journald.settimeout(5)
        other.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                other.sendto(_FILLER, str(path))

        def send(message: str, **fields: str) -> None:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(1)  # as long as sd_journal_send(3) would wait, and longer
                sock.sendto(f"{message} {fields}".encode(), str(path))

        journal = Journal(path, send)

        def received() -> list[bytes]:
            lines: list[bytes] = []
            while len(lines) < 2:
                line = journald.recv(4096)
                lines += [line] if line != _FILLER else []
            return lines

        async def log() -> list[bytes]:
            journal("first", PRIORITY="4")
            journal("second", PRIORITY="4")
            return await asyncio.to_thread(received)

        lines = asyncio.run(log())
    assert lines == [b"first {'PRIORITY': '4'}", b"second {'PRIORITY': '4'}"]
