"""Bytes and descriptors that nobody should send, and ways to leave."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from typing import TypeAlias

import h2.config
import h2.connection
from hypothesis import strategies as st

from tests.unit import http2_frames
from tests.unit.http2_frames import PREFACE, REQUEST, frame, settings

# What one sendmsg(2) carries: bytes, and the kinds of the descriptors that go with them.
Parcel: TypeAlias = tuple[bytes, tuple[str, ...]]

DESCRIPTORS = ("null", "pipe", "pair", "memory", "directory", "itself")

_CLIENT = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
METHODS = (
    *(f"/localechod.v1.Control/{name}" for name in ("Status", "Start", "Stop", "Reload", "Peers")),
    "/localechod.v1.Control/Events",
    "/localechod.v1.Control/Config",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/no/such",
    "",
)

messages = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\n", b"\0", b"\xff\xfe", b"\r\n", b"\n" * 3000, b"\x1b[2J\n", b"x"]),
    st.integers(min_value=1, max_value=200_000).map(lambda size: b"x" * size),
)
passed = st.lists(st.sampled_from(DESCRIPTORS), max_size=8).map(tuple)
parcels: st.SearchStrategy[list[Parcel]] = st.lists(st.tuples(messages, passed), max_size=6)


def call(
    method: str, body: bytes, *, framed: bool, ended: bool
) -> tuple[h2.connection.H2Connection, bytes]:
    """Return a client's HTTP/2 and what it sends for one call, well-formed but for its body."""
    connection = h2.connection.H2Connection(_CLIENT)
    connection.initiate_connection()
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method or "/"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
    connection.send_headers(1, headers)
    data = struct.pack(">BI", 0, len(body)) + body if framed else body
    connection.send_data(1, data[:16000], end_stream=ended)
    return connection, bytes(connection.data_to_send())


# For the control socket: bytes, frames of all kinds after a good preface, calls with bad messages.
frames = st.builds(
    frame,
    st.integers(min_value=0, max_value=12),
    st.binary(max_size=60),
    st.sampled_from([0, 1, 2, 3, 0x7FFFFFFF, 0xFFFFFFFF]),
    st.integers(min_value=0, max_value=255),
)
# Calls whose fields are missing, or have odd values.
odd_fields = st.builds(
    lambda changed, left: {name: value for name, value in changed.items() if name not in left},
    st.dictionaries(
        st.sampled_from([*REQUEST, "grpc-timeout", "content-length", "x-bin", "A"]),
        st.sampled_from([*REQUEST.values(), "", "0n", "1S", "5", "GET", "\xff", "\0"]),
        max_size=2,
    ).map(lambda changes: REQUEST | changes),
    st.lists(st.sampled_from([*REQUEST]), max_size=2),
)
requests = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda rest: PREFACE + rest, st.binary(max_size=200)),
    st.builds(lambda rest: PREFACE + settings() + b"".join(rest), st.lists(frames, max_size=6)),
    st.builds(lambda fields: PREFACE + settings() + http2_frames.call(1, fields), odd_fields),
    st.builds(
        call,
        st.sampled_from(METHODS),
        st.binary(max_size=200),
        framed=st.booleans(),
        ended=st.booleans(),
    ).map(lambda made: made[1]),
)
calls: st.SearchStrategy[list[Parcel]] = st.lists(st.tuples(requests, passed), max_size=3)

ENDINGS = ("close", "half-close", "read", "reset")
endings = st.sampled_from(ENDINGS)


@contextlib.contextmanager
def opened(kinds: tuple[str, ...], carrier: socket.socket) -> Iterator[list[int]]:
    """Open descriptors of these kinds for the length of one message."""
    with contextlib.ExitStack() as stack:
        found: list[int] = []

        def own(*descriptors: int) -> None:
            for descriptor in descriptors:
                stack.callback(os.close, descriptor)
                found.append(descriptor)

        for kind in kinds:
            if kind == "null":
                own(os.open(os.devnull, os.O_RDWR))
            elif kind == "pipe":
                own(*os.pipe())
            elif kind == "pair":
                own(*(sock.detach() for sock in socket.socketpair()))
            elif kind == "memory":
                own(os.memfd_create("junk"))
            elif kind == "directory":
                own(os.open("/", os.O_RDONLY))
            else:  # in flight over itself: only the kernel's own collector lets go of such a one
                found.append(carrier.fileno())
        yield found
