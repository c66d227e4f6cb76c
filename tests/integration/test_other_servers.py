"""`localechoctl send` against servers that other people wrote: socat, ncat."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localechod.ctl.app import run
from tests.integration.harness import CHECKOUT, needs_root, until

Capture = pytest.CaptureFixture[bytes]


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@contextmanager
def serving(path: Path, *command: str) -> Iterator[None]:
    """Run a server until it has bound its path; end it afterwards.

    What it says is not ours: socat 1.8 warns of the signal that ends it.
    """
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
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


@needs("socat")
@needs_root
@pytest.mark.parametrize("server", ["UNIX-LISTEN", "UNIX-RECVFROM"])
def test_another_user_talks_to_socat(server: str, sockdir: Path) -> None:
    path = sockdir / "s"
    words = ["-m", "localechod.ctl", "send", "--as", "nobody", "--hex", str(path), "6731", "67"]
    with serving(path, "socat", f"{server}:{path},mode=666,fork", "PIPE"):
        until(lambda: path.stat().st_mode & 0o777 == 0o666)
        until(lambda: run(["send", str(path), "probe"]) == 0)
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, check=False, timeout=60, cwd=CHECKOUT
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"6731\n67\n", b"")


@needs("socat")
def test_socat_that_only_listens_is_silent(sockdir: Path, capfdbinary: Capture) -> None:
    path = sockdir / "s"
    with serving(path, "socat", "-u", f"UNIX-LISTEN:{path},fork", "OPEN:/dev/null"):
        until(lambda: run(["send", "--timeout", "0.05", str(path), "x"]) == 1)
    assert b"receive failed: Connection timed out (110): " in capfdbinary.readouterr().err


@needs("ncat")
def test_ncats_program_that_ends_at_once_terminated_prematurely(
    sockdir: Path, capfdbinary: Capture
) -> None:
    path = sockdir / "n"
    with serving(path, "ncat", "-U", "-l", "-k", "-e", "/bin/true", str(path)):
        until(lambda: run(["send", str(path), "x"]) == 1)
    assert b"failed" in capfdbinary.readouterr().err
