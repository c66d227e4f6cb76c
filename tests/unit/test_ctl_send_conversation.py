"""Conversations over real sockets: replies, silence, and every end of a peer."""

import errno
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from localechod.ctl.send import conversation
from localechod.ctl.send.codec import Foreign, choose
from localechod.ctl.send.conversation import Conversation
from localechod.errors import LocalechodError, SocketError

PATH = "/run/x.sock"
TYPES = {
    "stream": socket.SOCK_STREAM,
    "datagram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
}

Peer = Callable[[socket.socket], None]


@contextmanager
def talking(
    peer: Peer, kind: str = "stream", framing: str = "line", timeout: float = 10.0
) -> Iterator[Conversation]:
    """Yield a conversation with a function in a thread, which must end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, TYPES[kind])

    def run() -> None:
        with theirs:
            peer(theirs)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        with ours:
            yield Conversation(ours, choose(kind, framing, 4096, PATH), PATH, timeout)
    finally:
        thread.join(10)
    assert not thread.is_alive()


def until_closed(sock: socket.socket) -> None:
    """Read whatever comes and answer nothing."""
    while sock.recv(65536):
        pass


def greet(sock: socket.socket) -> None:
    """Answer each read, as the daemon does."""
    while data := sock.recv(65536):
        sock.sendall(b"Hi, " + data)


def hung_up(asked: Conversation) -> None:
    """Wait until the peer has closed."""
    poll = select.poll()
    poll.register(asked.sock, select.POLLRDHUP)
    assert poll.poll(10_000)


@pytest.mark.parametrize("kind", list(TYPES))
def test_a_message_is_answered(kind: str) -> None:
    def peer(sock: socket.socket) -> None:
        sock.sendall(b"Hi, " + sock.recv(100))

    with talking(peer, kind) as asked:
        assert list(asked.ask(b"hello")) == [b"Hi, hello"]


def test_one_connection_carries_many_messages() -> None:
    with talking(greet) as asked:
        assert [reply for text in (b"g1", b"g2", b"g3") for reply in asked.ask(text)] == [
            b"Hi, g1",
            b"Hi, g2",
            b"Hi, g3",
        ]


def test_replies_to_several_lines_come_one_by_one() -> None:
    first = threading.Event()

    def peer(sock: socket.socket) -> None:
        assert sock.recv(100) == b"a\nb\n"
        sock.sendall(b"A\n")
        assert first.wait(10)
        sock.sendall(b"B\n")

    with talking(peer) as asked:
        replies = asked.ask(b"a\nb")
        assert next(replies) == b"A"
        first.set()
        assert list(replies) == [b"B"]


@pytest.mark.parametrize("kind", ["datagram", "seqpacket"])
def test_an_empty_message_is_sent_and_an_empty_reply_is_a_reply(kind: str) -> None:
    def peer(sock: socket.socket) -> None:
        assert sock.recv(100) == b""
        sock.send(b"")
        assert sock.recv(100) == b"end"

    with talking(peer, kind) as asked:
        assert list(asked.ask(b"")) == [b""]
        asked.sock.send(b"end")


def test_a_long_datagram_arrives_whole() -> None:
    text = bytes(range(256)) * 600

    def peer(sock: socket.socket) -> None:
        sock.send(sock.recv(1 << 20))

    with talking(peer, "datagram") as asked:
        assert list(asked.ask(text)) == [text]


def test_a_peer_that_replies_before_the_message_is_complete_does_not_block() -> None:
    """Four megabytes fit into no buffer: writing has to go on while replies are read."""
    text = b"x" * (4 << 20)

    def peer(sock: socket.socket) -> None:
        left = len(text)
        while left:
            data = sock.recv(65536)
            sock.sendall(data)
            left -= len(data)

    with talking(peer, framing="chunk") as asked:
        assert b"".join(asked.ask(text)) == text


def test_a_reply_without_a_mark_ends_when_nothing_more_comes() -> None:
    def peer(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"no newline")
        until_closed(sock)

    with talking(peer, framing="auto") as asked:
        assert list(asked.ask(b"x")) == [b"no newline"]


def test_a_pause_inside_a_records_padding_is_no_reply_but_the_peer_is_waited_for() -> None:
    """The rest of the first record comes with the second reply; its garbage is never shown."""

    def peer(sock: socket.socket) -> None:
        record = b"Hi, g1\0" + b"leaked\n" * 584 + b"x"
        assert len(record) == 4096
        sock.recv(100)
        sock.sendall(record[:50])
        sock.recv(100)
        sock.sendall(record[50:] + b"Hi, g2\0".ljust(4096, b"\n"))
        until_closed(sock)

    with talking(peer, framing="auto") as asked:
        assert list(asked.ask(b"g1")) == [b"Hi, g1"]
        assert list(asked.ask(b"g2")) == [b"Hi, g2"]


def test_replies_that_end_with_a_nul_alone_are_all_shown() -> None:
    def peer(sock: socket.socket) -> None:
        while data := sock.recv(100):
            sock.sendall(data.strip().upper() + b"\0")

    with talking(peer, framing="auto") as asked:
        assert [list(asked.ask(text)) for text in (b"a", b"b", b"c")] == [[b"A"], [b"B"], [b"C"]]


@pytest.mark.parametrize(("kind", "helps"), [("stream", "--framing"), ("datagram", "--timeout")])
def test_a_silent_peer_ends_in_a_timeout(kind: str, helps: str) -> None:
    done = threading.Event()

    def peer(sock: socket.socket) -> None:
        done.wait(10)

    with talking(peer, kind, timeout=0.05) as asked:
        with pytest.raises(SocketError) as caught:
            list(asked.ask(b"x"))
        done.set()
    assert caught.value.errno == errno.ETIMEDOUT
    assert caught.value.exit_status == 1
    assert str(caught.value).startswith(
        "receive failed: Connection timed out (110): /run/x.sock; no reply within 0.05 s"
    )
    assert helps in str(caught.value)


def test_a_peer_that_drips_bytes_does_not_extend_the_deadline() -> None:
    done = threading.Event()

    def peer(sock: socket.socket) -> None:
        try:
            while not done.wait(0.01):
                sock.send(b".")
        except (BrokenPipeError, ConnectionResetError):
            pass

    with talking(peer, framing="auto", timeout=0.4) as asked:
        with pytest.raises(SocketError, match="Connection timed out"):
            list(asked.ask(b"x"))
        done.set()


def test_a_peer_that_never_reads_is_reported_as_such() -> None:
    done = threading.Event()

    def peer(sock: socket.socket) -> None:
        done.wait(10)

    with talking(peer, timeout=0.1) as asked:
        with pytest.raises(SocketError) as caught:
            list(asked.ask(b"x" * (4 << 20)))
        done.set()
    assert str(caught.value).startswith("send failed: Connection timed out (110): /run/x.sock")
    assert "does not read" in caught.value.hint


@pytest.mark.parametrize("kind", ["stream", "seqpacket"])
def test_a_peer_that_closes_without_an_answer_terminated_prematurely(kind: str) -> None:
    def peer(sock: socket.socket) -> None:
        sock.recv(100)

    with talking(peer, kind) as asked, pytest.raises(LocalechodError) as caught:
        list(asked.ask(b"x"))
    assert caught.value.exit_status == 1
    assert str(caught.value).startswith("read failed: server terminated prematurely: /run/x.sock; ")


def test_bytes_before_the_end_are_the_last_reply() -> None:
    def peer(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"unfinished")

    with talking(peer) as asked:
        assert list(asked.ask(b"x")) == [b"unfinished"]


def test_a_peer_that_dies_with_unread_data_resets_the_connection() -> None:
    def peer(sock: socket.socket) -> None:
        sock.recv(1)

    with talking(peer) as asked, pytest.raises(SocketError) as caught:
        list(asked.ask(b"longer than the one byte it read"))
    assert caught.value.errno == errno.ECONNRESET
    assert str(caught.value).startswith("read failed: Connection reset by peer (104): /run/x.sock")


def test_a_peer_that_is_gone_breaks_the_pipe() -> None:
    with talking(lambda _: None) as asked:
        hung_up(asked)
        with pytest.raises(SocketError) as caught:
            list(asked.ask(b"x"))
    assert str(caught.value) == (
        "send failed: Broken pipe (32): /run/x.sock; the peer closed; see its log"
    )
    assert caught.value.exit_status == 1


def test_an_answer_that_came_before_the_pipe_broke_is_shown() -> None:
    def peer(sock: socket.socket) -> None:
        sock.sendall(b"too many users\n")

    with talking(peer) as asked:
        hung_up(asked)
        assert list(asked.ask(b"x")) == [b"too many users"]


def test_a_datagram_that_no_buffer_holds_is_refused_in_one_line() -> None:
    done = threading.Event()

    def peer(sock: socket.socket) -> None:
        done.wait(10)

    with talking(peer, "datagram") as asked:
        asked.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with pytest.raises(SocketError) as caught:
            list(asked.ask(b"x" * 100_000))
        done.set()
    assert str(caught.value).startswith("send failed: Message too long (90): /run/x.sock; 100000")


def test_a_datagram_peer_that_is_gone_is_one_line() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours:
        asked = Conversation(ours, choose("datagram", "auto", 4096, PATH), PATH, 10.0)
        theirs.close()
        with pytest.raises(SocketError) as caught:
            list(asked.ask(b"x"))
    assert str(caught.value) == (
        "send failed: Connection refused (111): /run/x.sock; the peer closed; see its log"
    )
    assert caught.value.exit_status == 7


def test_a_reply_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "LIMIT", 1 << 20)

    def peer(sock: socket.socket) -> None:
        try:
            while True:
                sock.sendall(b"x" * 65536)
        except (BrokenPipeError, ConnectionResetError):
            pass

    with talking(peer) as asked:
        with pytest.raises(SocketError) as caught:
            list(asked.ask(b"x"))
        asked.sock.close()
    assert "the reply is longer than 1048576 bytes" in str(caught.value)


def test_a_read_that_finds_nothing_is_no_empty_message() -> None:
    """Being woken for nothing happens (BUGS of select(2)), and is not to look like a reply."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        asked = Conversation(ours, choose("datagram", "auto", 4096, PATH), PATH, 1.0)
        assert asked._read() == 0
        assert asked.exchange.answer(over=False) is None


def test_credentials_are_not_confused_with_messages() -> None:
    """A peer that passes descriptors along with its reply harms nothing: they are not taken."""

    def peer(sock: socket.socket) -> None:
        sock.recv(100)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", sock.fileno()))
        sock.sendmsg([b"Hi\n"], [rights])

    with talking(peer) as asked:
        assert list(asked.ask(b"x")) == [b"Hi"]


def test_a_pause_before_the_reply_begins_ends_nothing() -> None:
    """The padding that was still due comes, then nothing for a while, and then the reply."""
    paused = threading.Event()

    class Watched(Foreign):
        def answer(self, *, over: bool) -> bytes | None:
            reply = super().answer(over=over)
            if over:
                paused.set()
            return reply

    def peer(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"Hi, g1\0")
        sock.recv(100)
        sock.sendall(b"x" * 4089)
        assert paused.wait(10)
        sock.sendall(b"Hi, g2\n")
        until_closed(sock)

    with talking(peer, framing="auto") as asked:
        asked.exchange = Watched()
        asked.pause = 0.01
        assert list(asked.ask(b"g1")) == [b"Hi, g1"]
        assert list(asked.ask(b"g2")) == [b"Hi, g2"]


def test_padding_that_comes_late_is_still_padding() -> None:
    """A silence before anything has come says nothing about the peer."""
    paused = threading.Event()

    class Watched(Foreign):
        def answer(self, *, over: bool) -> bytes | None:
            if over:
                paused.set()
            return super().answer(over=over)

    def peer(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"Hi, g1\0")
        sock.recv(100)
        assert not paused.wait(0.1)
        sock.sendall(b"x" * 4089 + b"Hi, g2\n")
        until_closed(sock)

    with talking(peer, framing="auto") as asked:
        asked.exchange = Watched()
        asked.pause = 0.01
        assert list(asked.ask(b"g1")) == [b"Hi, g1"]
        assert list(asked.ask(b"g2")) == [b"Hi, g2"]


def test_a_pipe_that_breaks_after_a_reset_is_one_line_as_well() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours:
        asked = Conversation(ours, choose("stream", "line", 4096, PATH), PATH, 10.0)
        ours.send(b"never read")
        theirs.close()
        with pytest.raises(SocketError, match="Broken pipe"):
            list(asked.ask(b"x"))


def test_a_datagram_server_that_took_another_peer_is_one_line(sockdir: Path) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours,
    ):
        server.bind(str(sockdir / "server"))
        other.bind(str(sockdir / "other"))
        ours.connect(str(sockdir / "server"))
        server.connect(str(sockdir / "other"))
        asked = Conversation(ours, choose("datagram", "auto", 4096, PATH), PATH, 10.0)
        with pytest.raises(SocketError) as caught:
            list(asked.ask(b"x"))
    assert str(caught.value) == "send failed: Operation not permitted (1): /run/x.sock"
    assert caught.value.exit_status == 4


def test_a_full_queue_keeps_the_message_for_later() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        asked = Conversation(ours, choose("datagram", "auto", 4096, PATH), PATH, 10.0)
        sent = 0
        with suppress(BlockingIOError):
            while ours.send(b"fill"):
                sent += 1
        asked._unsent.append(memoryview(b"later"))
        asked._write()
        assert list(asked._unsent) == [b"later"]
        theirs.recv(100)
        asked._write()
        assert not asked._unsent
        assert [theirs.recv(100) for _ in range(sent)][-1] == b"later"


def test_a_reply_path_that_the_server_may_not_find_is_in_the_hint(sockdir: Path) -> None:
    def silent(sock: socket.socket) -> None:
        sock.recv(9)

    with talking(silent, "datagram", timeout=0.05) as said:
        with pytest.raises(SocketError) as caught:
            list(said.ask(b"hello"))
        assert caught.value.hint.endswith("--timeout waits longer")  # no name, so no such reason
    with talking(silent, "datagram", timeout=0.05) as said:
        said.sock.bind(str(sockdir / "reply"))
        with pytest.raises(SocketError) as caught:
            list(said.ask(b"hello"))
        assert caught.value.hint.endswith(f"cannot reply to {sockdir}/reply")
