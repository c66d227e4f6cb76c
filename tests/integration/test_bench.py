"""`localechoctl bench` with this project's daemon, with other servers, and with failures."""

import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from localechod.ctl.app import run
from tests.integration.harness import CHECKOUT, DEADLINE, Daemon, until

Capture = pytest.CaptureFixture[str]
BUILD = Path(__file__).parents[3] / "shared" / "seed" / "build-peers"
SHORT = ["bench", "--seconds", "0.02", "--repeats", "2", "--timeout", "20"]

tutorial = pytest.mark.skipif(
    not BUILD.exists() or shutil.which("cc") is None,
    reason="the tutorial's programs in C, or a compiler, are not here",
)


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@contextmanager
def serving(path: Path, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server, wait until it has bound its path, and kill it afterwards."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:
        try:
            until(path.is_socket)
            yield server
        finally:
            server.kill()


def left_over(pid: int) -> set[Path]:
    return set(Path("/tmp").glob(f"bench-{pid}-*"))  # noqa: S108 - only read


def measured(capsys: Capture, *words: str) -> dict[str, float]:
    """Run `bench --json` and return the only result's percentiles."""
    assert run([*SHORT, "--json", *words]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    percentiles: dict[str, float] = result["latency_us"]
    assert 0 < percentiles["p50"] <= percentiles["p99.9"] <= percentiles["max"]
    return percentiles


def test_each_type_of_endpoint_is_measured(daemon: Daemon) -> None:
    daemon.configure(
        '[endpoints.stream]\ntype = "stream"\n[endpoints.datagram]\ntype = "datagram"\n'
        '[endpoints.packets]\ntype = "seqpacket"\n'
        '[endpoints.record]\ntype = "stream"\nframing = "record"\n'
        '[endpoints.chunk]\ntype = "stream"\nframing = "chunk"\nprefix = "Hi, "\n'
    )
    daemon.start()
    for name, kind in (
        ("stream", "stream"),
        ("datagram", "datagram"),
        ("packets", "seqpacket"),
        ("record", "stream"),
        ("chunk", "stream"),
    ):
        done = daemon.ctl(*SHORT, name, "--connections", "3", "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        (result,) = report["results"]
        assert report["title"] == daemon.path(name)
        assert result["name"] == kind
        assert result["server_pid"] == (None if kind == "datagram" else daemon.pid)
        assert daemon.row(name)["messages_total"] >= result["replies"]
        assert not daemon.errors(name)


def test_without_a_target_transports_are_compared(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*SHORT, "--svg", str(tmp_path / "plot.svg")]) == 0
    page = capsys.readouterr().out
    for name in ("stream", "datagram", "seqpacket", "tcp", "udp", "pipe"):
        assert page.count(f"\n{name} ") == 3
    assert "OF STREAM" in page
    assert "all on CPU" in page
    ET.parse(tmp_path / "plot.svg")  # noqa: S314 - our own
    assert not left_over(os.getpid())
    assert len(os.sched_getaffinity(0)) == len(os.sched_getaffinity(os.getppid()))


@needs("socat")
def test_an_echo_by_socat_is_measured(sockdir: Path, capsys: Capture) -> None:
    path = sockdir / "s"
    with serving(path, "socat", f"UNIX-LISTEN:{path},fork", "PIPE"):
        until(lambda: run(["send", str(path), "probe"]) == 0)
        capsys.readouterr()
        measured(capsys, str(path))
        measured(capsys, str(path), "--connections", "3", "--in-flight", "5", "--size", "5000")
        measured(capsys, str(path), "--framing", "chunk")


@needs("ncat")
def test_an_echo_by_ncat_is_measured(sockdir: Path, capsys: Capture) -> None:
    path = sockdir / "n"
    with serving(path, "ncat", "-U", "-l", "-k", "-e", "/bin/cat", str(path)):
        until(lambda: run(["send", str(path), "probe"]) == 0)
        capsys.readouterr()
        measured(capsys, str(path), "--connections", "2")


@tutorial
def test_the_tutorials_servers_are_measured(tmp_path: Path, sockdir: Path, capsys: Capture) -> None:
    subprocess.run([BUILD, tmp_path], check=True, capture_output=True, timeout=120)
    for words in ([], ["--framing", "record", "--in-flight", "3"]):
        path = sockdir / f"s{len(words)}"
        with serving(path, str(tmp_path / "unixstreamserver"), str(path)) as server:
            until(lambda path=path: listens(path))  # type: ignore[misc]
            measured(capsys, str(path), *words)
            assert server.wait(DEADLINE) == 0  # it exits after its only client
    path = sockdir / "d"
    with serving(path, str(tmp_path / "unixdataserver"), str(path)):
        measured(capsys, str(path), "--connections", "2", "--in-flight", "3")


def listens(path: Path) -> bool:
    """Read the kernel's list: a test connection would be the only client that the server takes."""
    listed = Path("/proc/net/unix").read_text(errors="replace").splitlines()
    return any(row.split()[3] == "00010000" for row in listed if row.endswith(f" {path}"))


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["/none/here"], 7, "connect failed: No such file or directory (2): /none/here; "),
        (["--size", "0"], 2, "--size 0: it takes 1 to 65507, the most that UDP carries"),
        (["/x", "--size", "2000000"], 2, "--size 2000000: it takes 1 to 1048576, 1 MiB"),
        (["--connections", "0"], 2, "--connections 0: it takes 1 to 10000"),
        (["--in-flight", "-1"], 2, "--in-flight -1: it takes 1 to 10000"),
        (["--seconds", "0"], 2, "--seconds 0: it takes more than 0 and up to 86400"),
        (["--cpu", "first"], 2, "--cpu first: it takes a processor's number, or any"),
        (["--cpu", "9999"], 2, "--cpu 9999: there is no such processor; there are: "),
        (["--svg", "/none/here.svg"], 1, "open failed: No such file or directory (2): /none"),
        (["./x"], 7, "connect failed: No such file or directory (2): ./x"),
    ],
)
def test_an_error_is_one_line(*, words: list[str], status: int, text: str, capsys: Capture) -> None:
    assert run([*SHORT, *words]) == status
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(text)
    assert err.count("\n") == 1


@needs("socat")
def test_a_server_that_does_not_echo_is_reported(sockdir: Path, capsys: Capture) -> None:
    path = sockdir / "s"
    with serving(path, "socat", f"UNIX-LISTEN:{path},fork", "SYSTEM:while read x; do date; done"):
        until(lambda: run(["send", str(path), "probe"]) == 0)
        capsys.readouterr()
        assert run([*SHORT, str(path)]) == 1
    assert f"bench failed: not an echo server: {path}; it replied " in capsys.readouterr().err


def test_a_server_that_closes_under_load_is_reported(sockdir: Path, capsys: Capture) -> None:
    path = sockdir / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def close_later() -> None:
            client = listener.accept()[0]
            with client:
                for _ in range(20):
                    client.sendall(client.recv(1000))

        thread = threading.Thread(target=close_later)
        thread.start()
        assert run(["bench", str(path), "--seconds", "60"]) == 1
        thread.join(DEADLINE)
    err = capsys.readouterr().err
    assert str(path) in err
    assert "after 2" in err or "after 1" in err
    assert err.count("\n") == 1


def test_ctrl_c_ends_all_processes_and_leaves_no_files() -> None:
    """On a terminal, where the whole process group gets the signal and a progress bar is shown."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(CHECKOUT)
        words = ["-m", "localechod.ctl", "bench", "--seconds", "0.01", "--repeats", "1000"]
        os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - no shell needed
    seen = b""
    try:
        while b"1%" not in seen:
            assert select.select([terminal], [], [], DEADLINE)[0], seen
            seen += os.read(terminal, 4096)
        os.write(terminal, b"\x03")
        # The terminal hangs up when the last process that has it open has exited.
        while select.select([terminal], [], [], DEADLINE)[0]:
            try:
                part = os.read(terminal, 4096)
            except OSError:
                break
            seen += part
    finally:
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    assert b"Traceback" not in seen
    assert not left_over(pid)
