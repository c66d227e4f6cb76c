"""`localechoctl send` against servers that other people wrote: socat, ncat."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localechod.ctl.app import run
from tests.integration.harness import until

Capture = pytest.CaptureFixture[bytes]


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@contextmanager
def serving(path: Path, *command: str) -> Iterator[None]:
    """Run a server until it has bound its path; end it afterwards."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as server:
        try:
            until(path.is_socket)
            yield
        finally:
            server.terminate()


@needs("socat")
def test_socat_echoes_lines(sockdir: Path, capfdbinary: Capture) -> None:
    path = sockdir / "s"
    with serving(path, "socat", f"UNIX-LISTEN:{path},fork", "PIPE"):
        until(lambda: run(["send", str(path), "probe"]) == 0)
        capfdbinary.readouterr()
        assert run(["send", str(path), "g1", "two words", ""]) == 0
    assert capfdbinary.readouterr() == (b"g1\ntwo words\n\n", b"")


@needs("socat")
def test_socat_echoes_bytes_as_chunks(sockdir: Path, capfdbinary: Capture) -> None:
    path = sockdir / "s"
    with serving(path, "socat", f"UNIX-LISTEN:{path},fork", "PIPE"):
        until(lambda: run(["send", str(path), "probe"]) == 0)
        capfdbinary.readouterr()
        assert run(["send", "--hex", "--framing", "chunk", str(path), "000aff", "01"]) == 0
    assert capfdbinary.readouterr() == (b"000aff\n01\n", b"")


@needs("socat")
def test_socat_echoes_datagrams(sockdir: Path, capfdbinary: Capture) -> None:
    path = sockdir / "d"
    # Every datagram is answered by a process of its own, to the address it came from.
    with serving(path, "socat", f"UNIX-RECVFROM:{path},fork", "PIPE"):
        assert run(["send", str(path), "g1", "g2"]) == 0
    assert capfdbinary.readouterr() == (b"g1\ng2\n", b"")


@needs("socat")
def test_socat_echoes_packets(sockdir: Path, capfdbinary: Capture) -> None:
    path = sockdir / "p"
    with serving(path, "socat", f"UNIX-LISTEN:{path},type=5,fork", "EXEC:cat"):
        until(lambda: run(["send", str(path), "probe"]) == 0)
        capfdbinary.readouterr()
        assert run(["send", str(path), "g1", "g2"]) == 0
    assert capfdbinary.readouterr() == (b"g1\ng2\n", b"")


@needs("ncat")
def test_ncat_runs_cat_for_us(sockdir: Path, capfdbinary: Capture) -> None:
    path = sockdir / "n"
    with serving(path, "ncat", "-U", "-l", "-k", "-e", "/bin/cat", str(path)):
        until(lambda: run(["send", str(path), "probe"]) == 0)
        capfdbinary.readouterr()
        assert run(["send", str(path), "g1", "g2"]) == 0
    assert capfdbinary.readouterr() == (b"g1\ng2\n", b"")
