"""netlink: every way in which a reply can arrive, end, or fail."""

import errno
import socket
import struct
from collections.abc import Iterable

import pytest

from localechod.localsocket.netlink import NetlinkSocket, attributes, split

MULTI, INTERRUPTED = 0x2, 0x10
ERROR, DONE, RECORD = 2, 3, 20


def message(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, 0, 0) + payload


def status(number: int) -> bytes:
    return struct.pack("=i", -number)


class Kernel:
    """A socket that returns given datagrams, one for each read."""

    def __init__(self, datagrams: Iterable[bytes]) -> None:
        self.datagrams = list(datagrams)

    def sendto(self, data: bytes, address: tuple[int, int]) -> None:
        assert address == (0, 0)
        assert struct.unpack_from("=I", data)[0] == len(data)

    def recv(self, _: int) -> bytes:
        if not self.datagrams:
            raise BlockingIOError
        return self.datagrams.pop(0)

    def close(self) -> None:
        self.datagrams.clear()


def channel_to(*datagrams: bytes) -> NetlinkSocket:
    channel = NetlinkSocket(4)
    channel._socket.close()
    channel._socket = Kernel(datagrams)  # type: ignore[assignment]
    return channel


def test_a_list_comes_in_parts_and_ends_with_done() -> None:
    first = message(RECORD, MULTI, b"odd") + b"\0" + message(RECORD, MULTI, b"two!")
    with channel_to(first, message(RECORD, MULTI, b"3"), message(DONE, MULTI, status(0))) as kernel:
        assert list(kernel.ask(RECORD, b"question", dump=True)) == [b"odd", b"two!", b"3"]


def test_a_single_record_ends_the_reply() -> None:
    with channel_to(message(RECORD, 0, b"one")) as kernel:
        assert list(kernel.ask(RECORD, b"", dump=False)) == [b"one"]


@pytest.mark.parametrize("kind", [ERROR, DONE])
def test_an_error_is_raised_also_at_the_end_of_a_list(kind: int) -> None:
    with (
        channel_to(message(kind, 0, status(errno.EPERM))) as kernel,
        pytest.raises(PermissionError),
    ):
        list(kernel.ask(RECORD, b"", dump=True))


def test_a_list_that_changed_meanwhile_is_read_to_its_end_and_can_be_requested_again() -> None:
    with channel_to(
        message(RECORD, MULTI | INTERRUPTED, b"old"),
        message(DONE, MULTI, status(0)),
        message(RECORD, MULTI, b"new"),
        message(DONE, MULTI, status(0)),
    ) as kernel:
        with pytest.raises(InterruptedError):
            list(kernel.ask(RECORD, b"", dump=True))
        assert list(kernel.ask(RECORD, b"", dump=True)) == [b"new"]


def test_a_reply_that_does_not_end_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.0, 104.0, 105.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with channel_to(*[message(RECORD, MULTI, b"")] * 9) as channel:
        with pytest.raises(TimeoutError):
            list(channel.ask(RECORD, b"", dump=True))
        assert isinstance(channel._socket, Kernel)
        assert len(channel._socket.datagrams) == 7


def test_a_part_that_does_not_come_times_out() -> None:
    with channel_to(message(RECORD, MULTI, b"")) as channel, pytest.raises(TimeoutError):
        list(channel.ask(RECORD, b"", dump=True))


def test_a_read_from_the_kernel_has_a_deadline() -> None:
    with NetlinkSocket(4) as channel:
        channel._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 1))
        with pytest.raises(TimeoutError):
            next(channel._messages(None))
    with NetlinkSocket(4) as channel:
        deadline = channel._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)
        assert struct.unpack("@ll", deadline) == (5, 0)


@pytest.mark.parametrize("length", [0, 15, 17, 2**32 - 1])
def test_a_message_of_impossible_length_is_an_error_and_no_loop(length: int) -> None:
    with pytest.raises(OSError, match="Bad message"):
        list(split(struct.pack("=IHHII", length, RECORD, 0, 0, 0)))


@pytest.mark.parametrize("length", [0, 3, 5, 65535])
def test_an_attribute_of_impossible_length_is_an_error_and_no_loop(length: int) -> None:
    with pytest.raises(OSError, match="Bad message"):
        attributes(struct.pack("=HH", length, 1))


def test_attributes_are_padded_to_four_bytes() -> None:
    packed = struct.pack("=HH1s3xHH4sHH", 5, 7, b"a", 8, 2, b"bcde", 4, 9)
    assert attributes(packed) == {7: b"a", 2: b"bcde", 9: b""}


def test_the_kernel_refuses_an_unknown_request() -> None:
    with NetlinkSocket(4) as kernel, pytest.raises(OSError, match="Invalid argument"):
        list(kernel.ask(4242, bytes(24), dump=False))
