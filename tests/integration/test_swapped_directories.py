"""An ordinary user exchanges directories while root makes files by their path."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Daemon, needs_root, receive

GAMES, GAMES_GROUP = 5, 60  # an ordinary user of every Debian

# Exchanges a directory for a link to another place, and back, over and over, until it is killed. It
# says when it has begun.
SWAP = """
import os, sys
hers, there = sys.argv[1:]
os.symlink(there, f"{hers}/link")
print(flush=True)
while True:
    os.rename(f"{hers}/d", f"{hers}/real")
    os.rename(f"{hers}/link", f"{hers}/d")
    os.rename(f"{hers}/d", f"{hers}/link")
    os.rename(f"{hers}/real", f"{hers}/d")
"""


@pytest.fixture
def swapped(sockdir: Path) -> Iterator[Path]:
    """A directory that an ordinary user exchanges for a link to `there`, a directory of root's."""
    hers, there = sockdir / "hers", sockdir / "there"
    (hers / "d").mkdir(parents=True)
    there.mkdir()
    os.chown(hers, GAMES, GAMES_GROUP)
    os.chown(hers / "d", GAMES, GAMES_GROUP)
    words = ["setpriv", f"--reuid={GAMES}", f"--regid={GAMES_GROUP}", "--clear-groups"]
    words += [sys.executable, "-I", "-c", SWAP, str(hers), str(there)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as mallory:
        try:
            assert mallory.stdout is not None
            mallory.stdout.readline()
            yield hers / "d"
            assert mallory.poll() is None  # it went on all the time
        finally:
            mallory.kill()
    assert not list(there.iterdir())


@needs_root
def test_root_binds_in_no_directory_that_another_user_exchanges(
    daemon: Daemon, swapped: Path
) -> None:
    daemon.configure(
        '[endpoints.ok]\ntype = "stream"\nmode = "0666"\n'
        f'[endpoints.a]\ntype = "stream"\nbind_as = "root"\npath = "{swapped}/x.sock"\n'
    )
    for _ in range(5):
        daemon.start()
        row = daemon.row("a")
        assert row["state"] == "failed"
        assert row["error"].startswith(f"{swapped.parent} is not safe for a socket that root binds")
        assert daemon.row("ok")["state"] == "listening"
        assert daemon.stop() == 0
    assert "chown it to root and chmod go-w it, or choose" in daemon.log.read_text("utf-8")


@needs_root
def test_root_makes_no_runtime_directory_where_another_user_exchanges_directories(
    daemon: Daemon, swapped: Path
) -> None:
    daemon.configure('[endpoints.a]\ntype = "stream"\n')
    daemon.runtime = swapped / "run"
    for _ in range(5):
        refused = daemon.run()
        assert refused.returncode == 1
        assert refused.stderr == (
            f"{swapped.parent} is not safe for root to make a runtime directory: others than root "
            f"may write there (owner {GAMES}, mode 0755); name one with --runtime-dir whose parent "
            "directories belong to root, such as in /run\n"
        )


@needs_root
def test_root_still_binds_in_a_sticky_directory_for_everyone(daemon: Daemon, sockdir: Path) -> None:
    shared = sockdir / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    daemon.configure(
        f'[endpoints.a]\ntype = "stream"\nbind_as = "root"\nuser = "root"\nmode = "0666"\n'
        f'path = "{shared}/x.sock"\n'
    )
    daemon.start()
    with daemon.connect(f"{shared}/x.sock") as client:
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"
