"""localechoctl tap --listen: a second socket that leads to the first."""

import array
import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.integration.harness import CHECKOUT, until
from tests.integration.taps import TAP, client, serving, tapped

U = socket.AF_UNIX

TWO = """
target = sys.argv[1].replace("@", chr(0))
def named(name):
    s = socket.socket(U, socket.SOCK_DGRAM)
    s.settimeout(20)
    s.bind(name)
    return s
one, two = named(""), named(sys.argv[2])
two.connect(target)
one.sendto(b"a", target)
two.send(b"b")
two.send(b"")
for s in (two, two, one):
    data, name = s.recvfrom(100)
    print(data, name if isinstance(name, str) else name.decode().replace(chr(0), "@"))
"""


def reply(server: socket.socket) -> None:
    while True:
        data, sender = server.recvfrom(100)
        if sender:
            server.sendto(b"re " + data, sender)


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_datagrams_of_several_clients(sockdir: Path, abstract: bool) -> None:
    """Each gets its own replies, from the name that it has sent to."""
    new = f"@tap-new-{os.getpid()}" if abstract else str(sockdir / "new")
    with serving(sockdir / "d", reply, socket.SOCK_DGRAM):
        done = tapped(
            sockdir / "d", client(TWO, new, sockdir / "two"), "--listen", new,
            "--write", str(sockdir / "x.pcapng"),
        )  # fmt: skip
    assert done.stdout == f"b're b' {new}\nb're ' {new}\nb're a' {new}\n", done.stderr
    assert done.stderr.count(" > ") == done.stderr.count(" < ") == 3
    assert "#2 " in done.stderr
    assert "#3 " not in done.stderr
    assert not (sockdir / "new").exists()


def test_a_datagram_with_descriptors_through_a_listener(sockdir: Path) -> None:
    script = """
r, w = os.pipe()
s = socket.socket(U, socket.SOCK_DGRAM)
s.bind("")
s.connect(sys.argv[1])
socket.send_fds(s, [b"take"], [w])
os.close(w)
data, fds, _, _ = socket.recv_fds(s, 10, 10)
os.write(fds[0], b"through")
os.close(fds[0])
print(data, os.read(r, 10), os.read(r, 10))
"""

    def give_back(server: socket.socket) -> None:
        while True:
            data, rights, _, name = socket.recv_fds(server, 10, 10)
            control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", rights))]
            server.sendmsg([data], control, 0, name)
            for each in rights:
                os.close(each)

    with serving(sockdir / "d", give_back, socket.SOCK_DGRAM):
        done = tapped(
            sockdir / "d", client(script, sockdir / "new"), "--listen", str(sockdir / "new")
        )
    assert done.stdout == "b'take' b'through' b''\n", done.stderr


@pytest.mark.parametrize("type_", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_all_that_a_client_sent_before_its_end_is_passed_on(sockdir: Path, type_: int) -> None:
    """Its end is the command's, and the server is slow."""
    script = """
s = socket.socket(U, int(sys.argv[2]))
s.connect(sys.argv[1])
for n in range(400):
    s.send(b"%1000d" % n)
"""
    with socket.socket(U, type_) as server:
        server.bind(str(sockdir / "d"))
        if type_ == socket.SOCK_STREAM:
            server.listen()
        command = client(script, sockdir / "new", int(type_))
        options = ["--quiet", "--listen", str(sockdir / "new"), "--", *command]
        with subprocess.Popen([*TAP, str(sockdir / "d"), *options], cwd=CHECKOUT) as tap:
            server.settimeout(20)
            with server.dup() if type_ == socket.SOCK_DGRAM else server.accept()[0] as peer:
                data = b""
                while len(data) < 400_000:
                    data += peer.recv(1000, socket.MSG_WAITALL)
            assert tap.wait(20) == 0
    assert data == b"".join(b"%1000d" % n for n in range(400))


def test_a_reply_to_a_client_that_does_not_read_is_dropped_with_a_line(sockdir: Path) -> None:
    script = """
s = socket.socket(U, socket.SOCK_DGRAM)
s.bind("")
s.connect(sys.argv[1])
s.send(b"go")
sys.stdin.readline()
"""

    def flood(server: socket.socket) -> None:
        _, name = server.recvfrom(10)
        while True:
            server.sendto(bytes(5000), name)

    command = client(script, sockdir / "new")
    options = ["--quiet", "--listen", str(sockdir / "new"), "--", *command]
    with (
        serving(sockdir / "d", flood, socket.SOCK_DGRAM),
        (sockdir / "log").open("wb") as log,
        subprocess.Popen(
            [*TAP, str(sockdir / "d"), *options], stdin=subprocess.PIPE, stderr=log, cwd=CHECKOUT
        ) as tap,
    ):
        until(lambda: b"a reply to a client that does not read" in (sockdir / "log").read_bytes())
        tap.communicate(b"\n", timeout=20)
    assert tap.returncode == 0


def test_a_datagram_server_that_is_started_again_behind_a_listener(sockdir: Path) -> None:
    script = """
s = socket.socket(U, socket.SOCK_DGRAM)
s.bind("")
s.settimeout(20)
for word in (b"1", b"2", b"3"):
    s.sendto(word, sys.argv[1])
    if word != b"2":
        print(s.recv(10), flush=True)
    print(word, flush=True)
    sys.stdin.readline()
"""

    def bound() -> socket.socket:
        server = socket.socket(U, socket.SOCK_DGRAM)
        server.settimeout(20)
        server.bind(str(path))
        return server

    path = sockdir / "d"
    options = ["--listen", str(sockdir / "new"), "--", *client(script, sockdir / "new")]
    server = bound()
    with subprocess.Popen(
        [*TAP, str(path), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, cwd=CHECKOUT,
    ) as tap:  # fmt: skip
        assert tap.stdin is not None
        assert tap.stdout is not None
        assert tap.stderr is not None
        server.sendto(b"old", server.recvfrom(10)[1])
        assert [tap.stdout.readline() for _ in range(2)] == ["b'old'\n", "b'1'\n"]
        server.close()
        tap.stdin.write("\n")
        tap.stdin.flush()
        assert tap.stdout.readline() == "b'2'\n"
        while "is dropped: Connection refused (111)" not in (line := tap.stderr.readline()):
            assert line
        path.unlink()
        with bound() as server:
            tap.stdin.write("\n")
            tap.stdin.flush()
            data, name = server.recvfrom(10)
            server.sendto(b"new", name)
            said, _ = tap.communicate("\n", timeout=20)
    assert (data, said) == (b"3", "b'new'\nb'3'\n")
