"""`localechoctl send` against the tutorial's own C servers, compiled unmodified."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localechod.ctl.app import run
from tests.integration.harness import DEADLINE, until

BUILD = Path(__file__).parents[3] / "shared" / "seed" / "build-peers"

pytestmark = [
    pytest.mark.skipif(not BUILD.exists(), reason="the tutorial's programs in C are not here"),
    pytest.mark.skipif(
        shutil.which("cc") is None, reason="the tutorial's programs need a compiler"
    ),
]

Capture = pytest.CaptureFixture[bytes]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("peers")
    subprocess.run([BUILD, directory], check=True, capture_output=True, timeout=120)
    return directory


@contextmanager
def serving(program: Path, path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server; yield when it answers to a connect, and end it afterwards."""
    with subprocess.Popen([program, path], stdout=subprocess.PIPE) as server:
        try:
            until(lambda: listens(path))
            yield server
        finally:
            server.kill()


def listens(path: Path) -> bool:
    """Ask the kernel's list, as a connect would use up the one that the stream server accepts."""
    listed = Path("/proc/net/unix").read_text(errors="replace").splitlines()
    rows = [row.split() for row in listed if row.endswith(f" {path}")]
    # Flags 00010000 is a socket that listens; a datagram socket (type 0002) never does.
    return any(row[3] == "00010000" or row[4] == "0002" for row in rows)


def test_the_stream_server_answers_each_message(
    programs: Path, sockdir: Path, capfdbinary: Capture
) -> None:
    """Its replies are 4096 bytes of text, NUL and stack garbage: only the text is shown."""
    path = sockdir / "unixstream.sock"
    with serving(programs / "unixstreamserver", path) as server:
        assert run(["send", str(path), "g1", "g2", "g3"]) == 0
        assert server.wait(DEADLINE) == 0
        assert server.stdout is not None
        assert server.stdout.read() == b"Receive: g1\nReceive: g2\nReceive: g3\nclient quit"
    assert capfdbinary.readouterr() == (b"Hi, g1\nHi, g2\nHi, g3\n", b"")


def test_the_stream_server_takes_records_as_well(
    programs: Path, sockdir: Path, capfdbinary: Capture
) -> None:
    path = sockdir / "unixstream.sock"
    with serving(programs / "unixstreamserver", path):
        assert run(["send", "--framing", "record", str(path), "g1", "g2", "g3"]) == 0
    assert capfdbinary.readouterr() == (b"Hi, g1\nHi, g2\nHi, g3\n", b"")


def test_the_datagram_server_answers_each_message(
    programs: Path, sockdir: Path, capfdbinary: Capture
) -> None:
    path = sockdir / "unixdata.sock"
    with serving(programs / "unixdataserver", path):
        assert run(["send", str(path), "g1", "g2", "g3"]) == 0
    assert capfdbinary.readouterr() == (b"Hi, g1\nHi, g2\nHi, g3\n", b"")


def test_the_datagram_server_quits_at_an_empty_message_and_that_is_one_line(
    programs: Path, sockdir: Path, capfdbinary: Capture
) -> None:
    path = sockdir / "unixdata.sock"
    with serving(programs / "unixdataserver", path) as server:
        assert run(["send", "--timeout", "0.2", str(path), "g1", ""]) == 1
        assert server.wait(DEADLINE) == 0
    out, err = capfdbinary.readouterr()
    assert out == b"Hi, g1\n"
    assert err.decode().startswith(f"receive failed: Connection timed out (110): {path}; ")
    assert run(["send", str(path), "g1"]) == 7


def test_the_stream_server_gone_is_told_in_its_clients_words(
    programs: Path, sockdir: Path, capfdbinary: Capture
) -> None:
    path = sockdir / "unixstream.sock"
    with serving(programs / "unixstreamserver", path):
        pass
    assert run(["send", str(path), "g1"]) == 7
    assert capfdbinary.readouterr().err.startswith(b"connect failed: Connection refused (111)")
    path.unlink()
    assert run(["send", str(path), "g1"]) == 7
    assert capfdbinary.readouterr().err.startswith(b"connect failed: No such file or directory (2)")
