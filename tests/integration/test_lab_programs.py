"""The lab's small peers, by hand and in the same scenes as the article's own programs."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localechod.localsocket import diag
from tests.integration.harness import CHECKOUT, DEADLINE, until

BUILD = CHECKOUT.parent / "shared" / "seed" / "build-peers"
TMP = Path("/tmp")  # noqa: S108 - where tmpnam(3) puts its names

needs_article = [
    pytest.mark.skipif(not BUILD.exists(), reason=f"the article's programs are not at {BUILD}"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="the article's programs need a compiler"),
]
OURS = {
    "unixstreamserver": "streamserver",
    "unixstreamclient": "streamclient",
    "unixdataserver": "dataserver",
    "unixdataclient": "dataclient",
}


class Programs:
    """Either family of programs, by the article's names, and all that was started of them."""

    def __init__(self, directory: Path, article: Path | None) -> None:
        self.directory = directory
        self.article = article
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, path: Path) -> "subprocess.Popen[bytes]":
        if self.article:
            command = [str(self.article / name), str(path)]
        else:
            own = [str(self.directory / f"own{len(self.started)}")] * (name == "unixdataclient")
            command = [sys.executable, "-m", "localechod.lab.programs", OURS[name], str(path), *own]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=CHECKOUT,
        )
        self.started.append(process)
        return process

    def serve(self, name: str, path: Path) -> "subprocess.Popen[bytes]":
        """Start a server, and return when it can be connected to."""
        process = self.start(name, path)
        until(lambda: bool(diag.named(os.fsencode(path))))
        if name == "unixstreamserver":
            until(lambda: diag.named(os.fsencode(path))[0].state == diag.STATE_LISTEN)
        return process


@pytest.fixture(scope="module")
def article(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("peers")
    subprocess.run([BUILD, directory], check=True, capture_output=True, timeout=120)
    return directory


@pytest.fixture(params=["ours", pytest.param("article", marks=needs_article)])
def programs(request: pytest.FixtureRequest, sockdir: Path) -> Iterator[Programs]:
    """Both families in turn: what one shows in a scene, the other has to show."""
    before = set(TMP.glob("file??????"))
    theirs = request.getfixturevalue("article") if request.param == "article" else None
    made = Programs(sockdir, theirs)
    yield made
    for process in made.started:
        process.kill()
        process.communicate(timeout=DEADLINE)
    for left in set(TMP.glob("file??????")) - before:
        # A client of another test that runs meanwhile still needs its own.
        if left.is_socket() and not diag.named(os.fsencode(left)):
            left.unlink()


def said(process: "subprocess.Popen[bytes]", typed: bytes = b"") -> list[str]:
    """Type, end the input, and return what was shown; our servers' readiness left out."""
    shown, _ = process.communicate(typed, timeout=DEADLINE)
    lines = [line.rstrip() for line in shown.decode(errors="replace").splitlines()]
    return [line for line in lines if line not in {"(listening)", "(bound)"}]


def test_only_the_client(programs: Programs, sockdir: Path) -> None:
    client = programs.start("unixstreamclient", sockdir / "x.sock")
    (line,) = said(client)
    assert "connect failed: No such file or directory" in line
    assert client.returncode == 1


def test_g1_g2_g3_over_a_stream(programs: Programs, sockdir: Path) -> None:
    server = programs.serve("unixstreamserver", sockdir / "x.sock")
    client = programs.start("unixstreamclient", sockdir / "x.sock")
    assert said(client, b"g1\ng2\ng3\n") == ["Hi, g1", "Hi, g2", "Hi, g3"]
    assert said(server) == ["Receive: g1", "Receive: g2", "Receive: g3", "client quit"]
    assert server.returncode == 0


def test_g1_g2_over_datagrams_and_nobody_notices_the_end(programs: Programs, sockdir: Path) -> None:
    server = programs.serve("unixdataserver", sockdir / "x.sock")
    for text in ("g1", "g2"):
        client = programs.start("unixdataclient", sockdir / "x.sock")
        assert said(client, f"{text}\n".encode()) == [f"now sending {text}", f"Hi, {text}"]
    assert server.poll() is None


def test_an_empty_datagram_ends_the_server(programs: Programs, sockdir: Path) -> None:
    server = programs.serve("unixdataserver", sockdir / "x.sock")
    client = programs.start("unixdataclient", sockdir / "x.sock")
    assert client.stdin is not None
    client.stdin.write(b"\n")
    client.stdin.flush()
    assert server.wait(DEADLINE) == 0
    assert said(server) == ["client quit"]
    assert client.poll() is None


def test_the_wrong_type(programs: Programs, sockdir: Path) -> None:
    programs.serve("unixdataserver", sockdir / "d.sock")
    (line,) = said(programs.start("unixstreamclient", sockdir / "d.sock"))
    assert "connect failed: Protocol wrong type for socket" in line
    programs.serve("unixstreamserver", sockdir / "s.sock")
    client = programs.start("unixdataclient", sockdir / "s.sock")
    assert any("Protocol wrong type for socket" in line for line in said(client, b"g1\n"))
    assert client.returncode == 1


def test_a_second_server_takes_the_path_of_the_first(programs: Programs, sockdir: Path) -> None:
    first = programs.serve("unixstreamserver", sockdir / "x.sock")
    inode = (sockdir / "x.sock").stat().st_ino
    programs.start("unixstreamserver", sockdir / "x.sock")
    until(lambda: (sockdir / "x.sock").exists() and (sockdir / "x.sock").stat().st_ino != inode)
    assert first.poll() is None


def test_a_client_without_a_reply_read_takes_the_server_down(
    programs: Programs, sockdir: Path
) -> None:
    """The reset is -1 and not 0, and the next write is the server's last."""
    server = programs.serve("unixstreamserver", sockdir / "x.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(DEADLINE)
        client.connect(str(sockdir / "x.sock"))
        client.sendall(b"g1\n".ljust(4096, b"\0"))
        client.recv(1, socket.MSG_PEEK)
    assert server.wait(DEADLINE) == -signal.SIGPIPE


def test_a_sender_without_a_name_takes_the_server_down(programs: Programs, sockdir: Path) -> None:

    server = programs.serve("unixdataserver", sockdir / "x.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"g1", str(sockdir / "x.sock"))
    assert server.wait(DEADLINE) == 1
    assert any("Transport endpoint is not connected" in line for line in said(server))


def test_the_client_says_when_the_server_ends_before_its_reply(
    programs: Programs, sockdir: Path
) -> None:

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(sockdir / "x.sock"))
        listener.listen()
        client = programs.start("unixstreamclient", sockdir / "x.sock")
        listener.settimeout(DEADLINE)
        connection, _ = listener.accept()
        with connection:
            assert client.stdin is not None
            client.stdin.write(b"g1\n")
            client.stdin.flush()
            assert len(connection.recv(4096, socket.MSG_WAITALL)) == 4096
    (line,) = said(client)
    assert "server terminated prematurely" in line
    assert client.returncode == 1


@pytest.mark.parametrize("words", [[], ["nope"], ["streamserver"], ["dataclient", "/x"]])
def test_wrong_words_are_a_usage_error(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "localechod.lab.programs", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
        cwd=CHECKOUT,
    )
    assert (done.returncode, done.stderr.splitlines()[0][:16]) == (2, "usage: programs ")
