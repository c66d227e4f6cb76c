"""What a client meets at an endpoint with a fault: a trial for each key of `faults`.

Each endpoint of `configuration` has the name of its key, and of its type behind a dash.
"""

import errno
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from localechod.config.faults import FITS, Faults
from tests.integration.harness import DEADLINE, Daemon, is_answered, receive, until

TYPES = {
    "stream": socket.SOCK_STREAM,
    "seqpacket": socket.SOCK_SEQPACKET,
    "datagram": socket.SOCK_DGRAM,
}
KEYS = tuple(key for key in Faults.__struct_fields__ if key != "seed")


def fits(key: str, kind: str) -> bool:
    """Tell whether an endpoint of this type may have this fault."""
    return kind in FITS.get(key, (TYPES, ""))[0]


def configuration(kind: str, *, faulty: bool = True) -> str:
    """Return an endpoint of this type for each key, with that fault or without it."""
    tables = []
    for key in KEYS:
        if fits(key, kind):
            trial = TRIALS[key]
            faults = f"faults = {{ {trial.faults} }}\n" if faulty else ""
            tables.append(
                f'[endpoints.{key}-{kind}]\ntype = "{kind}"\nmode = "0666"\nprefix = ""\n'
                f"{trial.keys}{faults}"
            )
    return "".join(tables)


@dataclass(frozen=True)
class Peer:
    """One endpoint of a daemon, as a client sees it."""

    daemon: Daemon
    name: str
    kind: str

    def connect(self) -> socket.socket:
        """Return a connected client, which has an address of its own if it sends datagrams."""
        sock = socket.socket(socket.AF_UNIX, TYPES[self.kind])
        sock.settimeout(DEADLINE)
        if self.kind == "datagram":
            sock.bind("")
        sock.connect(self.daemon.path(self.name))
        return sock

    def messages(self) -> int:
        """Return how many messages it has read."""
        count: int = self.daemon.row(self.name)["messages_total"]
        return count


def ask(sock: socket.socket, message: bytes = b"ab\n") -> bytes:
    """Send a message, and return what the next read returns."""
    sock.send(message)
    return sock.recv(1 << 16)


def fill(sock: socket.socket) -> None:
    """Send until the kernel takes no more."""
    sock.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            sock.send(b"x" * 500 + b"\n")


def _answers(peer: Peer) -> None:
    with peer.connect() as sock:
        sock.send(b"ab\n")
        assert receive(sock, 3) == b"ab\n"


def _pause(peer: Peer) -> None:
    with peer.connect() as sock:
        assert [ask(sock), sock.recv(9), sock.recv(9)] == [b"a", b"b", b"\n"]


def _truncate(peer: Peer) -> None:
    with peer.connect() as sock:
        assert [ask(sock), sock.recv(9)] == [b"a", b""]


def _end(peer: Peer) -> None:
    with peer.connect() as sock:
        assert [ask(sock), sock.recv(9)] == [b"ab\n", b""]


def _end_at_once(peer: Peer) -> None:
    with peer.connect() as sock:
        assert sock.recv(9) == b""


def _reset(peer: Peer) -> None:
    with peer.connect() as sock:
        assert ask(sock) == b"ab\n"
        _is_reset(sock)


def _reset_at_once(peer: Peer) -> None:
    with peer.connect() as sock:
        _is_reset(sock)


def _is_reset(sock: socket.socket) -> None:
    sock.send(b"ab\n")
    with suppress(ConnectionResetError):
        raise AssertionError(sock.recv(9))


def _never_accept(peer: Peer) -> None:
    with ExitStack() as stack:
        codes = []
        for _ in range(3):  # one more than `backlog` connects
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, TYPES[peer.kind]))
            sock.setblocking(False)
            codes.append(sock.connect_ex(peer.daemon.path(peer.name)))
    assert codes[-1] == errno.EAGAIN, codes


def _never_read(peer: Peer) -> None:
    before = peer.messages()
    with peer.connect() as sock:
        fill(sock)
        assert peer.messages() == before


def _never_reply(peer: Peer) -> None:
    before = peer.messages()
    with peer.connect() as sock:
        sock.send(b"ab\n")
        until(lambda: peer.messages() == before + 1)
        assert not is_answered(sock)


def _duplicate(peer: Peer) -> None:
    with peer.connect() as sock:
        assert [ask(sock), sock.recv(9)] == [b"ab\n", b"ab\n"]


def _reorder(peer: Peer) -> None:
    with peer.connect() as sock:
        sock.send(b"1\n")
        assert [ask(sock, b"2\n"), sock.recv(9)] == [b"2\n", b"1\n"]


def _corrupt(peer: Peer) -> None:
    with peer.connect() as sock:
        reply = ask(sock)
    changed = int.from_bytes(reply, "big") ^ int.from_bytes(b"ab\n", "big")
    assert (len(reply), changed.bit_count()) == (3, 1)


def _refuse_descriptors(peer: Peer) -> None:
    with peer.connect() as sock:
        socket.send_fds(sock, [b"ab\n"], [sock.fileno()])
        data, passed, _flags, _ = socket.recv_fds(sock, 100, 16)
    assert (data, passed) == (b"ab\n", [])


def _die(peer: Peer) -> None:
    with peer.connect() as sock:
        assert ask(sock) == b"ab\n"
        until(lambda: peer.daemon.row(peer.name)["state"] == "stopped")
    with socket.socket(socket.AF_UNIX, TYPES[peer.kind]) as sock:
        assert sock.connect_ex(peer.daemon.path(peer.name)) == errno.ECONNREFUSED


@dataclass(frozen=True)
class Trial:
    """How a fault is tried.

    Attributes:
        faults: the keys of `faults`.
        meets: what a client meets; an AssertionError if it meets something else.
        counts: the fault that is counted once for each trial, if any is.
        keys: other keys of the endpoint.
    """

    faults: str
    meets: Callable[[Peer], None]
    counts: str = ""
    keys: str = ""


TRIALS: Mapping[str, Trial] = {
    "delay": Trial("delay = 0.01", _answers, "delay"),
    "jitter": Trial("jitter = 0.01", _answers, "jitter"),
    "pieces": Trial("pieces = 1", _answers, "pieces"),
    "pause": Trial("pieces = 1, pause = 0.02", _pause, "pieces"),
    "truncate": Trial("truncate = 1", _truncate, "truncate"),
    "close_after": Trial("close_after = 1", _end, "close_after"),
    "reset_after": Trial("reset_after = 1", _reset, "reset_after"),
    "close_on_accept": Trial("close_on_accept = true", _end_at_once, "close_on_accept"),
    "reset_on_accept": Trial("reset_on_accept = true", _reset_at_once, "reset_on_accept"),
    "never_accept": Trial("never_accept = true", _never_accept, keys="backlog = 1\n"),
    "never_read": Trial("never_read = true", _never_read, "never_read"),
    "never_reply": Trial("never_reply = true", _never_reply, "never_reply"),
    "half_close": Trial("half_close = true", _end, "half_close"),
    "drop": Trial("drop = 1", _never_reply, "drop"),
    "duplicate": Trial("duplicate = 1", _duplicate, "duplicate"),
    "reorder": Trial("reorder = 1", _reorder, "reorder"),
    "corrupt": Trial("corrupt = 1", _corrupt, "corrupt"),
    "refuse_descriptors": Trial(
        "refuse_descriptors = true",
        _refuse_descriptors,
        "refuse_descriptors",
        "echo_descriptors = true\n",
    ),
    "die_after": Trial("die_after = 1", _die, "die_after"),
}
