"""The lab's programs, run by hand and in the same scenes as the tutorial's programs in C."""

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

needs_tutorial = [
    pytest.mark.skipif(not BUILD.exists(), reason="the tutorial's programs in C are not here"),
    pytest.mark.skipif(
        shutil.which("cc") is None, reason="the tutorial's programs need a compiler"
    ),
]
LAB_NAMES = {
    "unixstreamserver": "streamserver",
    "unixstreamclient": "streamclient",
    "unixdataserver": "dataserver",
    "unixdataclient": "dataclient",
}


class Programs:
    """The lab's programs or the tutorial's, by the tutorial's names; and the started processes."""

    def __init__(self, directory: Path, tutorial: Path | None) -> None:
        self.directory = directory
        self.tutorial = tutorial
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, path: Path) -> "subprocess.Popen[bytes]":
        if self.tutorial:
            command = [str(self.tutorial / name), str(path)]
        else:
            own = [str(self.directory / f"own{len(self.started)}")] * (name == "unixdataclient")
            command = [
                sys.executable,
                "-m",
                "localechod.lab.programs",
                LAB_NAMES[name],
                str(path),
                *own,
            ]
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
        """Start a server, and wait until it is ready for clients."""
        process = self.start(name, path)
        until(lambda: bool(diag.named(os.fsencode(path))))
        if name == "unixstreamserver":
            until(lambda: diag.named(os.fsencode(path))[0].state == diag.STATE_LISTEN)
        return process


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("programs")
    subprocess.run([BUILD, directory], check=True, capture_output=True, timeout=120)
    return directory


@pytest.fixture(params=["lab", pytest.param("tutorial", marks=needs_tutorial)])
def programs(request: pytest.FixtureRequest, sockdir: Path) -> Iterator[Programs]:
    """Run each scene with the lab's and with the tutorial's programs, for the same output."""
    before = set(TMP.glob("file??????"))
    theirs = request.getfixturevalue("tutorial") if request.param == "tutorial" else None
    made = Programs(sockdir, theirs)
    yield made
    for process in made.started:
        process.kill()
        process.communicate(timeout=DEADLINE)
    for left in set(TMP.glob("file??????")) - before:
        # Keep the files that clients of concurrent tests still use.
        if left.is_socket() and not diag.named(os.fsencode(left)):
            left.unlink()


def output(process: "subprocess.Popen[bytes]", sent: bytes = b"") -> list[str]:
    """Send input and end of file; return the output without the lab's lines about readiness."""
    shown, _ = process.communicate(sent, timeout=DEADLINE)
    lines = [line.rstrip() for line in shown.decode(errors="replace").splitlines()]
    return [line for line in lines if line not in {"(listening)", "(bound)"}]


def test_only_the_client(programs: Programs, sockdir: Path) -> None:
    client = programs.start("unixstreamclient", sockdir / "x.sock")
    (line,) = output(client)
    assert "connect failed: No such file or directory" in line
    assert client.returncode == 1


def test_g1_g2_g3_over_a_stream(programs: Programs, sockdir: Path) -> None:
    server = programs.serve("unixstreamserver", sockdir / "x.sock")
    client = programs.start("unixstreamclient", sockdir / "x.sock")
    assert output(client, b"g1\ng2\ng3\n") == ["Hi, g1", "Hi, g2", "Hi, g3"]
    assert output(server) == ["Receive: g1", "Receive: g2", "Receive: g3", "client quit"]
    assert server.returncode == 0


def test_g1_g2_over_datagrams_without_a_notice_of_the_exit(
    programs: Programs, sockdir: Path
) -> None:
    server = programs.serve("unixdataserver", sockdir / "x.sock")
    for text in ("g1", "g2"):
        client = programs.start("unixdataclient", sockdir / "x.sock")
        assert output(client, f"{text}\n".encode()) == [f"now sending {text}", f"Hi, {text}"]
    assert server.poll() is None


def test_an_empty_datagram_stops_the_server(programs: Programs, sockdir: Path) -> None:
    server = programs.serve("unixdataserver", sockdir / "x.sock")
    client = programs.start("unixdataclient", sockdir / "x.sock")
    assert client.stdin is not None
    client.stdin.write(b"\n")
    client.stdin.flush()
    assert server.wait(DEADLINE) == 0
    assert output(server) == ["client quit"]
    assert client.poll() is None


def test_the_wrong_type(programs: Programs, sockdir: Path) -> None:
    programs.serve("unixdataserver", sockdir / "d.sock")
    (line,) = output(programs.start("unixstreamclient", sockdir / "d.sock"))
    assert "connect failed: Protocol wrong type for socket" in line
    programs.serve("unixstreamserver", sockdir / "s.sock")
    client = programs.start("unixdataclient", sockdir / "s.sock")
    assert any("Protocol wrong type for socket" in line for line in output(client, b"g1\n"))
    assert client.returncode == 1


def test_a_second_server_takes_the_path_of_the_first(programs: Programs, sockdir: Path) -> None:
    first = programs.serve("unixstreamserver", sockdir / "x.sock")
    inode = (sockdir / "x.sock").stat().st_ino
    programs.start("unixstreamserver", sockdir / "x.sock")
    until(lambda: (sockdir / "x.sock").exists() and (sockdir / "x.sock").stat().st_ino != inode)
    assert first.poll() is None


def test_a_client_that_leaves_its_reply_unread_kills_the_server(
    programs: Programs, sockdir: Path
) -> None:
    """After the reset, read returns -1 and not 0, and the next write raises SIGPIPE."""
    server = programs.serve("unixstreamserver", sockdir / "x.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(DEADLINE)
        client.connect(str(sockdir / "x.sock"))
        client.sendall(b"g1\n".ljust(4096, b"\0"))
        client.recv(1, socket.MSG_PEEK)
    assert server.wait(DEADLINE) == -signal.SIGPIPE


def test_an_unbound_sender_stops_the_server(programs: Programs, sockdir: Path) -> None:

    server = programs.serve("unixdataserver", sockdir / "x.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"g1", str(sockdir / "x.sock"))
    assert server.wait(DEADLINE) == 1
    assert any("Transport endpoint is not connected" in line for line in output(server))


def test_the_client_reports_a_server_that_closes_before_its_reply(
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
    (line,) = output(client)
    assert "server terminated prematurely" in line
    assert client.returncode == 1


@pytest.mark.parametrize("words", [[], ["nope"], ["streamserver"], ["dataclient", "/x"]])
def test_wrong_arguments_are_a_usage_error(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "localechod.lab.programs", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
        cwd=CHECKOUT,
    )
    assert (done.returncode, done.stderr.splitlines()[0][:16]) == (2, "usage: programs ")
