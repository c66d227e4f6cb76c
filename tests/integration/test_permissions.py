"""The tutorial's lessons about permissions, with a real directory of root's and real users."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Daemon, as_user, connect_errno, needs_root, receive

pytestmark = needs_root

GAMES, STAFF = 5, 50  # an ordinary user, and a group, of every Debian
DENIED = "bind failed: Permission denied (13)"
ROOTS = 'bind_as = "root"\nuser = "root"\ngroup = "root"\n'
REMEDY = "systemctl restart localechod"


@pytest.fixture
def place(daemon: Daemon) -> Iterator[Callable[[str], Path]]:
    """Yield names in /var/lib that nobody else has, and remove what stands there afterwards."""
    prefix = f"localechod-test-{os.getpid()}-"
    yield lambda name: Path(f"/var/lib/{prefix}{name}")
    daemon.kill()
    for path in Path("/var/lib").glob(f"{prefix}*"):
        path.unlink()


def endpoint(name: str, path: Path, keys: str) -> str:
    return f'[endpoints.{name}]\ntype = "stream"\npath = "{path}"\n{keys}'


def ls(path: Path) -> str:
    """Return mode, owner, group and size as `ls` shows them, and the name with its `=`."""
    words = subprocess.run(
        ["ls", "-lF", "--", path], capture_output=True, text=True, check=True
    ).stdout.split()
    return " ".join([*words[0:1], *words[2:5], words[-1]])


def test_without_the_right_to_the_directory_bind_fails_and_the_others_serve(
    daemon: Daemon, place: Callable[[str], Path]
) -> None:
    path = place("service")
    daemon.configure(
        endpoint("denied", path, 'mode = "0666"\nbind_as = "service"\n')
        + '[endpoints.other]\ntype = "stream"\nmode = "0666"\n'
    )
    daemon.start()
    rows = daemon.rows()
    assert (rows["denied"]["state"], rows["denied"]["error"]) == ("failed", DENIED)
    assert not path.exists()
    assert "WARNING: denied: failed: " in daemon.log.read_text(encoding="utf-8")
    assert "/var/lib (drwxr-xr-x root root)" in daemon.log.read_text(encoding="utf-8")
    with daemon.connect("other") as sock:
        sock.sendall(b"x\n")
        assert receive(sock, 6) == b"Hi, x\n"
    # By hand it fails with the same words, the place, and the exit status of a refused right.
    again = daemon.ctl("start", "denied")
    assert again.returncode == 4
    assert again.stderr.startswith(f"{DENIED}: {path}; ")
    assert len(again.stderr.splitlines()) == 1


def test_bound_as_root_it_listens_there_and_an_ordinary_user_is_denied(
    daemon: Daemon, place: Callable[[str], Path]
) -> None:
    path = place("root")
    daemon.configure(endpoint("a", path, f'{ROOTS}mode = "0755"\n'))
    daemon.start()
    row = daemon.row("a")
    assert (row["state"], row["mode"], row["owner"], row["group"]) == (
        "listening",
        "0755",
        "root",
        "root",
    )
    assert ls(path) == f"srwxr-xr-x root root 0 {path}="
    assert as_user(GAMES, [], lambda: connect_errno(str(path))) == errno.EACCES
    assert connect_errno(str(path)) == 0  # root may anything


def test_mode_0666_lets_everybody_in(daemon: Daemon, place: Callable[[str], Path]) -> None:
    path = place("open")
    daemon.configure(endpoint("a", path, f'{ROOTS}mode = "0666"\n'))
    daemon.start()
    assert ls(path) == f"srw-rw-rw- root root 0 {path}="

    def answered() -> int:
        with daemon.connect(str(path)) as sock:
            sock.sendall(b"x\n")
            return len(receive(sock, 6))

    assert as_user(GAMES, [], answered) == 6


def test_mode_0660_lets_the_group_in_and_nobody_else(
    daemon: Daemon, place: Callable[[str], Path]
) -> None:
    path = place("group")
    daemon.configure(
        endpoint("a", path, 'bind_as = "root"\nuser = "root"\ngroup = "staff"\nmode = "0660"\n')
    )
    daemon.start()
    assert ls(path) == f"srw-rw---- root staff 0 {path}="
    assert as_user(GAMES, [STAFF], lambda: connect_errno(str(path))) == 0
    assert as_user(GAMES, [], lambda: connect_errno(str(path))) == errno.EACCES
    assert as_user(STAFF, [], lambda: connect_errno(str(path))) == 0  # its primary group


def test_a_socket_that_root_bound_can_be_stopped_and_needs_a_restart_to_start(
    daemon: Daemon, place: Callable[[str], Path]
) -> None:
    path = place("root")
    daemon.configure(
        endpoint("a", path, f'{ROOTS}mode = "0666"\n')
        + '[endpoints.other]\ntype = "stream"\nmode = "0666"\n'
    )
    daemon.start()
    # A restart is refused before anything is closed.
    with daemon.connect(str(path)) as sock:
        refused = daemon.ctl("restart", "a")
        assert refused.returncode == 1
        assert REMEDY in refused.stderr
        sock.sendall(b"x\n")
        assert receive(sock, 6) == b"Hi, x\n"
    assert daemon.ctl("stop", "a").returncode == 0
    assert connect_errno(str(path)) == errno.ECONNREFUSED  # its file stays: the directory is root's
    refused = daemon.ctl("start", "a")
    assert refused.returncode == 1
    assert REMEDY in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert daemon.row("a")["state"] == "stopped"
    # The remedy: the next start replaces the file that was left.
    assert daemon.stop() == 0
    assert path.is_socket()
    daemon.start()
    assert connect_errno(str(path)) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('mode = "0666"\n', 'mode = "0755"\n'),
        ('mode = "0666"\n', 'mode = "0666"\nbacklog = 5\n'),
        (ROOTS, 'bind_as = "service"\n'),
        ("-a", "-moved"),
    ],
    ids=["mode", "backlog", "bind_as", "path"],
)
def test_a_reload_that_would_bind_it_again_is_refused_before_anything_closes(
    daemon: Daemon, place: Callable[[str], Path], old: str, new: str
) -> None:
    def configure(*, change: bool) -> None:
        text = endpoint("a", place("a"), f'{ROOTS}mode = "0666"\n')
        other = '[endpoints.other]\ntype = "stream"\nmode = "{}"\n'
        daemon.configure(
            (text.replace(old, new) if change else text)
            + other.format("0660" if change else "0666")
        )

    configure(change=False)
    daemon.start()
    with daemon.connect(str(place("a"))) as sock, daemon.connect("other") as other:
        configure(change=True)
        refused = daemon.ctl("reload")
        assert refused.returncode == 1
        assert REMEDY in refused.stderr
        for each in (sock, other):
            each.sendall(b"x\n")
            assert receive(each, 6) == b"Hi, x\n"
        rows = daemon.rows()
    assert {name: row["state"] for name, row in rows.items()} == {
        "a": "listening",
        "other": "listening",
    }
    assert (rows["a"]["mode"], rows["other"]["mode"]) == ("0666", "0666")


def test_a_reload_of_what_needs_no_binding_reaches_it(
    daemon: Daemon, place: Callable[[str], Path]
) -> None:
    path = place("a")
    daemon.configure(endpoint("a", path, f'{ROOTS}mode = "0666"\n'))
    daemon.start()
    with daemon.connect(str(path)) as sock:
        daemon.configure(endpoint("a", path, f'{ROOTS}mode = "0666"\nprefix = "Ho, "\n'))
        assert daemon.ctl("reload").returncode == 0
        sock.sendall(b"x\n")
        assert receive(sock, 6) == b"Ho, x\n"
