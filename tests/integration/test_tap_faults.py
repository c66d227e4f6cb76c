"""localechoctl tap --fault: a client meets what it meets at an endpoint with the same faults."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from localechod.localsocket.types import TYPES
from tests.integration.harness import Daemon
from tests.integration.taps import client, run, serving, tapped

U = socket.AF_UNIX

# Each call of the client prints its result, or the errno.
HEAD = """
import time
address, type_ = sys.argv[1], int(sys.argv[2])
s = socket.socket(U, type_)
s.settimeout(20)
def meet(step, *arguments):
    try:
        found = step(*arguments)
    except TimeoutError:
        found = "timeout"
    except OSError as error:
        found = error.errno
    print(found)
    return found
s.connect(address)
"""
TURNS = """
for n in range(5):
    meet(s.send, b"message %d\\n" % n)
    meet(s.recv, 100)
meet(s.shutdown, socket.SHUT_WR)
meet(s.recv, 100)
meet(s.send, b"late")
"""
AT_ONCE = """
for n in range(8):
    meet(s.send, b"message %d\\n" % n)
meet(s.shutdown, socket.SHUT_WR)
while isinstance(meet(s.recv, 100), bytes):
    if not s.recv(1, socket.MSG_PEEK):
        break
"""
CLOSED = """
for n in range({}):
    meet(s.send, b"message %d\\n" % n)
    meet(s.recv, 100)
meet(s.recv, 100)
meet(s.send, b"late")
"""
UNREAD = """
import select
poll = select.poll()
poll.register(s, select.POLLIN)
s.send(b"one")
poll.poll()
s.send(b"two")
poll.modify(s, 0)
poll.poll(300)  # a hang-up that came too early would hide the reply
meet(s.recv, 100)
meet(s.recv, 100)
"""
SHORT = """
meet(s.send, b"message\\n")
meet(s.recv, 2)
s.settimeout(0.3)
meet(s.recv, 100)
"""
LATE = """
began = time.monotonic()
meet(s.send, b"message\\n")
meet(s.recv, 100)
print(time.monotonic() - began >= 0.2)
"""
NAMED = """
s.close()
s = socket.socket(U, type_)
s.settimeout(20)
s.bind("")
s.connect(address)
for n in range(4):
    meet(s.send, b"message %d\\n" % n)
while b"3" not in meet(s.recv, 100):
    pass
"""

STREAM, RECORDS, DATAGRAMS = "stream", "seqpacket", "datagram"
SAME: dict[str, list[tuple[dict[str, object], str]]] = {
    STREAM: [
        ({"truncate": 3}, CLOSED.format(1)),
        ({"truncate": 0}, CLOSED.format(1)),
        ({"close_after": 2}, CLOSED.format(2)),
        ({"reset_after": 2}, TURNS),
        ({"close_on_accept": True}, CLOSED.format(0)),
        ({"reset_on_accept": True}, TURNS),
        ({"half_close": True}, TURNS),
        ({"never_reply": True}, "s.settimeout(0.3)" + SHORT),
        ({"corrupt": 0.5, "seed": 7}, TURNS),
        ({"pieces": 2, "pause": 60}, SHORT),
        ({"pieces": 1}, AT_ONCE.replace("8", "1").replace("100", "1")),
        ({"delay": 0.2}, LATE),
        ({"delay": 0.1, "jitter": 0.4, "seed": 3}, LATE),
    ],
    RECORDS: [
        ({"truncate": 3}, CLOSED.format(1)),
        ({"close_after": 2}, CLOSED.format(2)),
        ({"reset_after": 2}, TURNS),
        ({"reset_after": 1}, UNREAD),
        ({"half_close": True}, TURNS),
        ({"never_reply": True}, "s.settimeout(0.3)" + SHORT),
        ({"drop": 0.4, "duplicate": 0.4, "reorder": 0.4, "seed": 5}, AT_ONCE),
        ({"reorder": 1}, AT_ONCE),
    ],
    DATAGRAMS: [
        ({"drop": 0.4, "duplicate": 0.4, "corrupt": 0.4, "seed": 9}, NAMED),
        ({"reorder": 1}, NAMED),
    ],
}


def options(faults: Mapping[str, object]) -> list[str]:
    return [f"--fault={key}={str(value).lower()}" for key, value in faults.items()]


@pytest.mark.parametrize("kind", SAME)
def test_a_client_meets_what_it_meets_at_an_endpoint_with_faults(daemon: Daemon, kind: str) -> None:
    tables = [f'[endpoints.good]\ntype = "{kind}"\n']
    for number, (faults, _) in enumerate(SAME[kind]):
        values = ", ".join(f"{key} = {str(value).lower()}" for key, value in faults.items())
        tables.append(f'[endpoints.bad{number}]\ntype = "{kind}"\nfaults = {{ {values} }}\n')
    daemon.configure("".join(tables))
    daemon.start()
    type_ = TYPES[kind]
    good = daemon.runtime / "good.sock"
    for number, (faults, script) in enumerate(SAME[kind]):
        bad = daemon.runtime / f"bad{number}.sock"
        expected = run(client(HEAD + script, bad, type_))
        done = tapped(good, client(HEAD + script, good, type_), *options(faults))
        assert (expected.returncode, expected.stderr) == (0, ""), faults
        assert (done.returncode, done.stdout) == (0, expected.stdout), (faults, done.stderr)
        (summary,) = [line for line in done.stderr.splitlines() if "faults done: " in line]
        assert summary != "tap: faults done: none"


def echo(server: socket.socket) -> None:
    """Answer one client after the other."""
    while True:
        with server.accept()[0] as peer:
            while data := peer.recv(100):
                peer.sendall(data)


def test_the_lines_tell_what_was_done_and_the_last_one_counts(sockdir: Path) -> None:
    with serving(sockdir / "s", echo):
        done = tapped(
            sockdir / "s", client(HEAD + TURNS, sockdir / "s", 1),
            "--fault", "corrupt=1", "--fault", "delay=0.001", "--fault", "reset_after=2",
        )  # fmt: skip
    lines = done.stderr.splitlines()
    assert "#1 < reply 1: corrupt, delay" in lines
    assert "#1 < Connection reset by peer: reset_after" in lines
    assert lines[-1] == "tap: faults done: corrupt 2, delay 2, reset_after 1"


@pytest.mark.parametrize("type_", TYPES.values(), ids=TYPES)
def test_a_server_that_never_reads(sockdir: Path, type_: int) -> None:
    """The client fills the buffers and blocks; the server gets nothing, and hears of its end."""
    script = """
s.setblocking(False)
try:
    while s.send(bytes(1000)):
        pass
except BlockingIOError:
    print("full")
"""
    read, write = os.pipe()

    def report(server: socket.socket) -> None:
        if type_ == socket.SOCK_DGRAM:
            server.recv(100)
        else:
            with server.accept()[0] as peer:
                data = peer.recv(100)
        os.write(write, b"got %r" % data)

    with serving(sockdir / "s", report, type_):
        os.close(write)
        done = tapped(
            sockdir / "s", client(HEAD + script, sockdir / "s", type_), "--fault=never_read=true"
        )
        if type_ != socket.SOCK_DGRAM:
            assert os.read(read, 100) == b"got b''"
    assert os.read(read, 100) == b""
    os.close(read)
    assert (done.returncode, done.stdout) == (0, "full\n")
    assert done.stderr.endswith("tap: faults done: never_read 1\n")


def test_a_server_that_never_replies_and_ends(sockdir: Path) -> None:
    """Its end is kept from the client too, whose reads go on to wait."""

    def reply(server: socket.socket) -> None:
        with server.accept()[0] as peer:
            peer.sendall(peer.recv(100))

    with serving(sockdir / "s", reply):
        done = tapped(
            sockdir / "s", client(HEAD + SHORT.replace("recv, 2", "send, b'2'"), sockdir / "s", 1),
            "--fault=never_reply=true",
        )  # fmt: skip
    assert done.stdout == "8\n1\ntimeout\n"
    assert "#1 < end of file: never_reply" in done.stderr


def test_descriptors_are_refused_in_both_directions(sockdir: Path) -> None:
    def give(server: socket.socket) -> None:
        while True:
            with server.accept()[0] as peer:
                _, rights, _, _ = socket.recv_fds(peer, 100, 10)
                socket.send_fds(peer, [b"%d" % len(rights)], [0, 1])

    script = """
socket.send_fds(s, [b"take"], [0, 1, 2])
print(socket.recv_fds(s, 10, 10)[:2])
"""
    with serving(sockdir / "s", give):
        done = tapped(
            sockdir / "s",
            client(HEAD + script, sockdir / "s", 1), "--fault=refuse_descriptors=true",
        )  # fmt: skip
    assert done.stdout == "(b'0', [])\n"
    assert done.stderr.endswith("tap: faults done: refuse_descriptors 2\n")


def test_descriptors_go_with_the_reply_that_they_came_with(sockdir: Path) -> None:
    """A reply that is dropped takes its own along; nothing is left open."""
    prefix = f"tap-{os.getpid()}-"

    def give(server: socket.socket) -> None:
        with server.accept()[0] as peer:
            for number in range(8):
                with socket.socket(U) as passed:
                    passed.bind(f"\0{prefix}{number}")
                    socket.send_fds(peer, [b"%d" % number], [passed.fileno()])
            peer.recv(1)

    script = """
s.shutdown(socket.SHUT_WR)
while True:
    data, rights, _, _ = socket.recv_fds(s, 10, 10)
    if not data:
        break
    for each in rights:
        name = socket.socket(fileno=each).getsockname()
        print(data.decode(), name.decode()[-1])
for number in range(8):
    socket.socket(U).bind(chr(0) + f"{sys.argv[3]}{number}")  # EADDRINUSE while a copy is open
"""
    with serving(sockdir / "s", give, socket.SOCK_SEQPACKET):
        done = tapped(
            sockdir / "s", client(HEAD + script, sockdir / "s", 5, prefix),
            *options({"drop": 0.3, "reorder": 0.4, "seed": 2}),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pairs = [line.split() for line in done.stdout.splitlines()]
    assert [data for data, _ in pairs] == [name for _, name in pairs]
    order = [int(data) for data, _ in pairs]
    assert 2 < len(order) < 8
    assert order != sorted(order)


@pytest.mark.parametrize(
    ("type_", "fault", "reason"),
    [
        (1, "drop=0.1", "--fault drop = 0.1: only for datagram or seqpacket: a stream loses"),
        (2, "pieces=1", "--fault pieces = 1: only for stream: the kernel keeps records whole"),
        (2, "truncate=1", "--fault truncate = 1: only for stream or seqpacket: datagrams have no"),
        (1, "never_accept=true", "--fault never_accept: not for a relay: the listener is the"),
        (1, "die_after=3", "--fault die_after: not for a relay: the listener is the server's"),
        (1, "dealy=1", "--fault dealy: unknown key; did you mean delay?"),
        (1, "delay=-1", "--fault delay = -1: must be a number of seconds from 0 (none) to 3600"),
        (1, "delay=soon", "--fault delay=soon: must be KEY=VALUE; a value is a number, true or"),
        (1, "never_reply", "--fault never_reply: must be KEY=VALUE; a value is a number, true or"),
        (1, "pause=1", "--fault pause = 1: has no effect without pieces"),
    ],
)
def test_a_fault_that_fits_no_relay_is_refused_by_name(
    sockdir: Path, type_: int, fault: str, reason: str
) -> None:
    with socket.socket(U, type_) as server:
        server.bind(str(sockdir / "s"))
        done = tapped(sockdir / "s", ["echo", "ran"], "--fault", fault)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_faults_of_a_listener_of_its_own(sockdir: Path) -> None:
    with serving(sockdir / "s", echo):
        done = tapped(
            sockdir / "s", client(HEAD + CLOSED.format(1), sockdir / "new", 1),
            "--listen", str(sockdir / "new"), "--fault", "truncate=3",
        )  # fmt: skip
    assert done.stdout == "10\nb'mes'\nb''\n32\n"
    assert done.stderr.endswith("tap: faults done: truncate 1\n")
