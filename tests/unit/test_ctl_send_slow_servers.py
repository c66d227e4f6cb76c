"""localechoctl send to servers that reply in parts, without end, or not at all."""

import select
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from localechod.ctl.app import run
from tests.unit.send_servers import Capture, listening


def dribbling(sock: socket.socket) -> None:
    """Answer byte by byte, also to who has heard enough."""
    with suppress(ConnectionError):
        while data := sock.recv(65536):
            for byte in b"Hi, " + data:
                sock.sendall(bytes([byte]))


def babbling(sock: socket.socket) -> None:
    """Never stop, and never come to an end of anything."""
    sock.recv(65536)
    with suppress(ConnectionError):
        while True:
            sock.sendall(b"x" * 65536)


def chattering(sock: socket.socket) -> None:
    """Send line after line for one message."""
    sock.recv(65536)
    with suppress(ConnectionError):
        while True:
            sock.sendall(b"line\n" * 1000)


@pytest.mark.parametrize("framing", ["auto", "line", "chunk"])
def test_a_reply_that_dribbles_in_is_shown_whole(
    framing: str, sockdir: Path, capfdbinary: Capture
) -> None:
    """A chunk ends by its length only, so a greeting makes the reply end early."""
    with listening(sockdir / "s", dribbling) as path:
        assert run(["send", "--framing", framing, path, "a-message"]) == 0
    out, err = capfdbinary.readouterr()
    assert err == b""
    assert out == b"Hi, a-message\n" or (framing == "chunk" and out.startswith(b"Hi, a-mes"))


@pytest.mark.parametrize("kind", ["stream", "seqpacket"])
def test_a_peer_that_dribbles_in_hex_is_understood(
    kind: str, sockdir: Path, capfdbinary: Capture
) -> None:
    """Of packets each byte is a message; the first one is the reply."""
    with listening(sockdir / "s", dribbling, kind) as path:
        assert run(["send", "--hex", path, "ff"]) == 0
    assert capfdbinary.readouterr().out == (b"48692c20ff\n" if kind == "stream" else b"48\n")


@pytest.mark.parametrize("framing", ["auto", "line"])
def test_a_reply_without_end_is_given_up(
    framing: str, sockdir: Path, capfdbinary: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localechod.ctl.send.conversation.LIMIT", 1 << 20)
    with listening(sockdir / "s", babbling) as path:
        assert run(["send", "--framing", framing, path, "x"]) == 1
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.decode() == (
        f"receive failed: Message too long (90): {path}; the reply is longer than 1048576 bytes\n"
    )


def test_of_lines_without_end_the_first_is_the_reply(sockdir: Path, capfdbinary: Capture) -> None:
    with listening(sockdir / "s", chattering) as path:
        assert run(["send", path, "x"]) == 0
    assert capfdbinary.readouterr() == (b"line\n", b"")


@pytest.mark.parametrize("framing", ["line", "record"])
def test_a_known_framing_waits_over_a_pause(
    framing: str, sockdir: Path, capfdbinary: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a reply is none, however long the other half takes, within the timeout."""
    monkeypatch.setattr("localechod.ctl.send.conversation.PAUSE", 0.01)

    def halting(sock: socket.socket) -> None:
        text = sock.recv(65536)
        sock.sendall(text[:2])
        # Longer than the pause that would end a reply of an unknown framing.
        select.select([sock], [], [], 0.2)
        sock.sendall(text[2:])

    with listening(sockdir / "s", halting) as path:
        words = ["--framing", framing, "--record-size", "16"]
        assert run(["send", *words, path, "whole"]) == 0
    assert capfdbinary.readouterr() == (b"whole\n", b"")


@pytest.mark.parametrize("framing", ["auto", "line", "record", "chunk"])
def test_a_peer_that_closes_is_the_same_error_in_every_framing(
    framing: str, sockdir: Path, capfdbinary: Capture
) -> None:
    with listening(sockdir / "s", lambda sock: sock.recv(65536)) as path:
        assert run(["send", "--framing", framing, path, "x"]) == 1
    assert b"server terminated prematurely" in capfdbinary.readouterr().err


@pytest.mark.parametrize("framing", ["auto", "line", "record", "chunk"])
def test_a_silent_peer_is_the_same_error_in_every_framing(
    framing: str, sockdir: Path, capfdbinary: Capture
) -> None:
    def silent(sock: socket.socket) -> None:
        while sock.recv(65536):
            pass

    with listening(sockdir / "s", silent) as path:
        assert run(["send", "--timeout", "0.05", "--framing", framing, path, "x"]) == 1
    assert b"no reply within 0.05 s; --timeout waits longer" in capfdbinary.readouterr().err
