"""The tutorial's own C clients, compiled unmodified, against the daemon."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.harness import DEADLINE, Daemon

P_TMPDIR = "/tmp"  # noqa: S108 - stdio.h has it so, and tmpnam(3) takes it
BUILD = Path(__file__).parents[3] / "shared" / "seed" / "build-peers"

pytestmark = [
    pytest.mark.skipif(not BUILD.exists(), reason="the tutorial's programs in C are not here"),
    pytest.mark.skipif(
        shutil.which("cc") is None, reason="the tutorial's programs need a compiler"
    ),
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("peers")
    subprocess.run([BUILD, directory], check=True, capture_output=True, timeout=120)
    return directory


def run(program: Path, path: str) -> list[str]:
    """Type g1, g2, g3 into a client; return the lines it prints."""
    # The datagram client binds a name of tmpnam(3) in /tmp and leaves the mode of that socket to
    # its umask; the daemon, another user when started as root, has to be allowed to write to it.
    done = subprocess.run(
        [program, path],
        input="g1\ng2\ng3\n",
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
        umask=0,
    )
    return done.stdout.splitlines()


def sockets_in_tmp() -> set[Path]:
    """Return the sockets that have a name of tmpnam(3)."""
    return {path for path in Path(P_TMPDIR).glob("file??????") if path.is_socket()}


def test_unixstreamclient_and_its_fixed_records(daemon: Daemon, programs: Path) -> None:
    daemon.configure('[endpoints.r]\ntype = "stream"\nframing = "record"\nmode = "0666"\n')
    daemon.start()
    answers = run(programs / "unixstreamclient", daemon.path("r"))
    assert answers == ["Hi, g1", "Hi, g2", "Hi, g3"]
    row = daemon.row("r")
    assert (row["messages_total"], row["errors"]) == (3, {})
    assert (row["received_bytes_total"], row["sent_bytes_total"]) == (3 * 4096, 3 * 4096)


def test_unixdataclient(daemon: Daemon, programs: Path) -> None:
    daemon.configure('[endpoints.d]\ntype = "datagram"\nmode = "0666"\n')
    daemon.start()
    before = sockets_in_tmp()
    lines = run(programs / "unixdataclient", daemon.path("d"))
    for left in sockets_in_tmp() - before:  # it never removes its own
        left.unlink()
    sent, answers = lines[0::2], lines[1::2]
    assert sent == ["now sending g1 ", "now sending g2 ", "now sending g3 "]
    assert answers == ["Hi, g1", "Hi, g2", "Hi, g3"]
    assert daemon.errors("d") == {}
