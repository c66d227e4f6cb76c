"""Captures, read back block by block; test_tap_programs.py has tshark read them."""

import os
import resource
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from localechod.tap.pcapng import Capture, Pair, Stream

TAGS = {12: "dissector", 25: "source", 26: "target"}


def blocks(file: Path) -> Iterator[tuple[int, bytes]]:
    data = file.read_bytes()
    while data:
        kind, size = struct.unpack_from("=II", data)
        assert size % 4 == 0
        assert data[size - 4 : size] == data[4:8], "the size stands at both ends"
        yield kind, data[8 : size - 4]
        data = data[size:]


def packets(file: Path) -> list[dict[str, bytes]]:
    """Return the tags of each packet, and its data."""
    found = []
    for kind, body in blocks(file):
        if kind != 6:
            continue
        size, original = struct.unpack_from("=II", body, 12)
        assert size == original
        data, tags = body[20 : 20 + size], {}
        while True:
            tag, length = struct.unpack_from(">HH", data)
            value, data = data[4 : 4 + length], data[4 + length :]
            if tag == 0:
                break
            tags[TAGS.get(tag, str(tag))] = value.rstrip(b"\0") if tag == 12 else value[-2:]
        found.append(tags | {"data": data})
    return found


def make(path: Path, dissector: str = "") -> Capture:
    return Capture(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "/run/x", dissector)


def test_a_stream_is_a_tcp_connection(tmp_path: Path) -> None:
    """Sequence numbers count the bytes, so that nothing seems lost or doubled."""
    capture = make(tmp_path / "x", "http")
    stream = Stream(capture, Pair(1, "me"))
    stream.data(b"ask", reply=False)
    stream.data(b"answer" * 20_000, reply=True)
    stream.end(reply=False)
    stream.end(reply=True)
    capture.close()
    expected = {False: 0, True: 0}
    sent = {False: b"", True: b""}
    for packet in packets(tmp_path / "x"):
        assert packet["dissector"] == b"tcp"
        source, target, sequence, _, _, flags = struct.unpack_from(">HHIIBB", packet["data"])
        reply = source == 80
        assert {source, target} == {80, 10_001}
        assert (packet["source"], packet["target"]) == (
            source.to_bytes(2, "big"), target.to_bytes(2, "big")
        )  # fmt: skip
        assert sequence == expected[reply]
        payload = packet["data"][20:]
        sent[reply] += payload
        expected[reply] += len(payload) + bool(flags & 3)  # SYN and FIN count as a byte each
    assert sent == {False: b"ask", True: b"answer" * 20_000}


def test_records_name_their_dissector(tmp_path: Path) -> None:
    capture = make(tmp_path / "x", "syslog")
    pair = Pair(3, "me")
    capture.packet(pair, b"one", reply=False)
    capture.packet(pair, b"", reply=True)
    capture.close()
    assert [(each["dissector"], each["data"]) for each in packets(tmp_path / "x")] == [
        (b"syslog", b"one"),
        (b"syslog", b""),
    ]


def test_a_stream_of_a_protocol_without_a_port_is_a_packet_a_piece(tmp_path: Path) -> None:
    capture = make(tmp_path / "x", "json")
    stream = Stream(capture, Pair(1, ""))
    stream.data(b"{}", reply=False)
    stream.end(reply=False)
    capture.close()
    assert [each["data"] for each in packets(tmp_path / "x")] == [b"{}"]


def fill(capture: Capture) -> None:
    while True:
        capture.packet(Pair(1, ""), bytes(100), reply=False)


def test_a_full_disk_leaves_a_file_that_ends_with_a_whole_block(tmp_path: Path) -> None:
    capture = make(tmp_path / "x")
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"No space left|File too large"):
            fill(capture)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    capture.close()
    assert len(packets(tmp_path / "x")) > 1
