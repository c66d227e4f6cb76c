"""A daemon in a user namespace, where all users outside have the same uid as `nobody` inside."""

import errno
import socket
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.integration.harness import Daemon, as_user, needs_root

pytestmark = needs_root

# As in a container that maps few users: root, and the service's, which is nobody.
INSIDE = """
import os, sys
from tests.integration.stage import become_root, enter_user_namespace
enter_user_namespace("0 0 1\\n65534 65534 1")
become_root()
os.execvp(sys.argv[1], sys.argv[1:])
"""

# No account has these.
MALLORY, ALICE = 62_001, 62_002


@pytest.fixture
def inside(daemon: Daemon) -> Daemon:
    daemon.launcher = [sys.executable, "-c", INSIDE]
    return daemon


def test_a_user_without_an_id_has_not_the_rights_of_nobody(inside: Daemon) -> None:
    inside.configure(
        '[endpoints.a]\ntype = "stream"\nmode = "0666"\nallow = ["nobody"]\n'
        '[endpoints.g]\ntype = "stream"\nmode = "0666"\nallow = ["@nogroup"]\n'
        '[endpoints.every]\ntype = "stream"\nmode = "0666"\n'
    )
    inside.start()
    refused = inside.ctl("stop", "every", user=MALLORY)
    assert refused.returncode == 4
    assert "uid 65534 is not an administrator" in refused.stderr

    def answers(name: str) -> int:
        with inside.connect(name) as sock:
            sock.send(b"x\n")
            return len(sock.recv(100))

    assert as_user(MALLORY, [], partial(answers, "every")) == len(b"Hi, x\n")
    for name in ("a", "g"):
        assert as_user(MALLORY, [], partial(answers, name)) in {0, errno.EPIPE, errno.ECONNRESET}
        assert inside.errors(name) == {"not_allowed": 1}
    assert inside.ctl("stop", "every").returncode == 0  # root is mapped


def test_a_reply_to_one_does_not_go_to_another(inside: Daemon, sockdir: Path) -> None:
    inside.configure('[endpoints.a]\ntype = "datagram"\nmode = "0666"\n')
    inside.start()
    owned = {uid: sockdir / str(uid) for uid in (ALICE, MALLORY)}
    for directory in owned.values():
        directory.mkdir(0o777)
        directory.chmod(0o777)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as alice:

        def bind() -> int:
            alice.bind(str(owned[ALICE] / "s"))
            (owned[ALICE] / "s").chmod(0o666)
            return 0

        assert as_user(ALICE, [], bind) == 0

        def attack() -> int:
            way = owned[MALLORY] / "way"
            way.mkdir()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.bind(str(way / "s"))
                way.rename(owned[MALLORY] / "gone")
                way.symlink_to(owned[ALICE])
                sock.sendto(b"not for alice", inside.path("a"))
            return 0

        assert as_user(MALLORY, [], attack) == 0
        assert inside.errors("a") == {"permission_denied": 1}
        alice.setblocking(False)
        with pytest.raises(BlockingIOError):
            alice.recv(100)
