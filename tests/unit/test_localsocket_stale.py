"""Stale socket files: only a proven dead one is removed; for any other, the holder is named."""

import errno
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import localechod
from localechod.accounts import user_name
from localechod.errors import SocketError
from localechod.localsocket import diag, netlink, stale
from localechod.localsocket.address import Address
from localechod.localsocket.entry import DirectoryEntry, PinnedEntry
from localechod.localsocket.stale import Liveness, judge
from tests.integration.harness import needs_root

SOURCE = str(Path(localechod.__file__).parents[1])
TYPES = [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET]
ME = f"pid {os.getpid()} ({Path('/proc/self/comm').read_text().strip()}, user "


def remove_dead(path: Path) -> None:
    address = Address.parse(str(path))
    with closing(DirectoryEntry.open(address)) as place:
        stale.remove_dead(place, address)


def refused(path: Path) -> str:
    """Try to remove a file that must stay, and check that it does; return the hint."""
    before = path.lstat().st_ino
    with pytest.raises(SocketError) as caught:
        remove_dead(path)
    assert path.lstat().st_ino == before
    assert str(caught.value).startswith(f"bind failed: Address already in use (98): {path}; ")
    return caught.value.hint


def no_netlink(*_: object) -> None:
    raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))


def dead_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    return path


@contextmanager
def running(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> Iterator[int]:
    """Run code in another process until the end of the test; it prints a line when ready."""
    begin = "import os, socket, sys\npath = sys.argv[1]\n"
    end = "\nprint(flush=True)\nsys.stdin.readline()\n"
    with subprocess.Popen(
        [*prefix, sys.executable, "-c", begin + textwrap.dedent(code) + end, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdin
        if not process.stdout.readline():
            pytest.skip(f"cannot run {' '.join(prefix)} here")
        yield process.pid
        process.stdin.close()


@pytest.mark.parametrize(
    ("known", "answer", "liveness"),
    [
        (True, 0, Liveness.ALIVE),
        (True, errno.ECONNREFUSED, Liveness.ALIVE),  # between its bind and its listen
        (False, errno.ECONNREFUSED, Liveness.DEAD),
        (None, errno.ECONNREFUSED, Liveness.UNKNOWN),
        (False, 0, Liveness.ALIVE),  # in another network namespace, as are the next two
        (False, errno.EAGAIN, Liveness.ALIVE),
        (False, errno.EPROTOTYPE, Liveness.ALIVE),
        (None, errno.EPROTOTYPE, Liveness.ALIVE),
        (False, errno.EACCES, Liveness.UNKNOWN),
        (False, errno.ENOENT, Liveness.UNKNOWN),
    ],
)
def test_only_a_refusal_by_a_socket_unknown_to_the_kernel_means_dead(
    known: bool | None, answer: int, liveness: Liveness
) -> None:
    assert judge(known=known, answer=answer) is liveness


def test_without_a_file_nothing_is_removed(sockdir: Path) -> None:
    remove_dead(sockdir / "s")


def test_a_dead_socket_file_is_removed(sockdir: Path) -> None:
    remove_dead(dead_socket(sockdir / "s"))
    assert list(sockdir.iterdir()) == []


@pytest.mark.parametrize("target", ["nowhere", "dead", "file"])
def test_a_link_stays_whatever_it_leads_to(sockdir: Path, target: str) -> None:
    dead_socket(sockdir / "dead")
    (sockdir / "file").touch()
    (sockdir / "s").symlink_to(target)
    assert refused(sockdir / "s").startswith("a symbolic link has that path (lrwxrwxrwx ")
    assert (sockdir / "dead").is_socket()


def test_a_file_a_directory_and_a_fifo_stay(sockdir: Path) -> None:
    path = sockdir / "s"
    path.touch(mode=0o640)
    assert refused(path).startswith("a regular file has that path (-rw-r----- ")
    path.unlink()
    path.mkdir()
    assert refused(path).startswith("a directory has that path (drwxr-xr-x ")
    path.rmdir()
    os.mkfifo(path, 0o600)
    assert refused(path).startswith("a FIFO has that path (prw------- ")
    assert "only stale sockets are removed" in refused(path)


@pytest.mark.parametrize("type_", TYPES)
def test_a_socket_between_its_bind_and_its_listen_is_not_dead(sockdir: Path, type_: int) -> None:
    with socket.socket(socket.AF_UNIX, type_) as sock:
        sock.bind(str(sockdir / "s"))
        assert refused(sockdir / "s").startswith(ME)


@pytest.mark.parametrize("type_", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_listener_is_named_and_gets_no_connection(sockdir: Path, type_: int) -> None:
    with socket.socket(socket.AF_UNIX, type_) as sock:
        sock.bind(str(sockdir / "s"))
        sock.listen()
        hint = refused(sockdir / "s")
        assert hint == (
            f"{ME}{user_name(os.geteuid())}) holds it: stop that process or choose another address"
        )
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.accept()


def test_several_holders_are_counted(sockdir: Path) -> None:
    path = sockdir / "s"
    code = "s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen(); os.fork() or input()"
    with running(code, path):
        assert " and 1 more hold it: " in refused(path)


CONNECTED = """
listener, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
client.connect(path)
accepted = listener.accept()[0]
listener.close()
"""


def test_connections_that_outlived_their_listener_are_described_as_such(sockdir: Path) -> None:
    path = sockdir / "s"
    with running(CONNECTED, path):
        assert "holds a connection that was accepted through it: " in refused(path)
    remove_dead(path)


def test_our_own_connections_do_not_keep_the_file_of_a_closed_listener(sockdir: Path) -> None:
    path = sockdir / "s"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(path))
        listener.listen()
        client.connect(str(path))
        with listener.accept()[0] as accepted:
            assert "holds it" in refused(path)
            listener.close()
            remove_dead(path)
            assert not path.exists()
            client.send(b"x")
            assert accepted.recv(2) == b"x"


@needs_root
@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen()", "pid {} ("),
        (
            "s, c = map(socket.socket, [1, 1]); s.bind(path); s.listen(0); c.connect(path)",
            "another process holds it",
        ),
        (
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(path)",
            "another process holds it",
        ),
    ],
    ids=["listener", "full backlog", "datagram"],
)
def test_a_server_in_another_network_namespace_is_not_taken_for_dead(
    sockdir: Path, code: str, hint: str
) -> None:
    path = sockdir / "s"
    with running(code, path, prefix=("unshare", "--net")) as pid:
        said = refused(path)
    assert said.startswith(hint.format(pid))
    assert ", in another network namespace: " in said


@needs_root
def test_a_holder_that_proc_hides_is_named_by_a_connection_or_by_its_user(sockdir: Path) -> None:
    # The user nobody may not read root's descriptors in /proc. A listener shows its credentials
    # to every client that may connect.
    path = sockdir / "s"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        path.chmod(0o666)
        before = said_to_nobody(path)
        sock.listen()
        after = said_to_nobody(path)
        path.chmod(0o600)
        closed = said_to_nobody(path)
    assert "; a process of user root holds it: " in before
    assert f"; {ME}root) listens on it: " in after
    assert "; a process of user root holds it: " in closed


@needs_root
def test_a_file_that_we_may_not_connect_to_or_remove_stays_with_the_reason(sockdir: Path) -> None:
    path = dead_socket(sockdir / "s")
    path.chmod(0o666)
    said = said_to_nobody(path)
    assert "no process listens on it, but removing it failed: Permission denied" in said
    path.chmod(0o600)
    said = said_to_nobody(path)
    assert "cannot tell whether a process listens on it (Permission denied, srw-------" in said
    assert path.is_socket()


AS_NOBODY = """
import os, sys
from localechod.errors import SocketError
from localechod.localsocket import stale
from localechod.localsocket.address import Address
from localechod.localsocket.entry import DirectoryEntry
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
address = Address.parse(sys.argv[1])
try:
    stale.remove_dead(DirectoryEntry.open(address), address)
except SocketError as error:
    print(error)
"""


def said_to_nobody(path: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(path)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_without_the_kernel_list_nothing_is_dead(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dead_socket(sockdir / "s")
    monkeypatch.setattr(netlink, "NetlinkSocket", no_netlink)
    hint = refused(path)
    assert "the kernel's list of sockets could not be read to prove it" in hint
    assert "(Address family not supported by protocol)" in hint
    path.unlink()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        assert refused(path) == (
            f"{ME}{user_name(os.geteuid())}) answers: stop that process or choose another address"
        )


def test_a_file_that_is_replaced_during_the_check_stays(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dead_socket(sockdir / "s")
    real = stale._obstacle

    def slow(found: PinnedEntry) -> str:
        obstacle = real(found)
        path.unlink()
        dead_socket(path)
        return obstacle

    monkeypatch.setattr(stale, "_obstacle", slow)
    with pytest.raises(SocketError, match="replaced during the check: try again"):
        remove_dead(path)
    assert path.is_socket()


def test_an_unknown_owner_is_another_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diag, "holders", lambda _: [])
    known = diag.DiagSocket(1, 7, 42, b"x", None, None, 0, 0, 0, (), None)
    assert stale._describe_holder([known]) == "another process holds it"


def test_a_process_in_another_pid_namespace_is_shown_without_its_pid() -> None:
    assert stale._describe_process(0, 0, "") == "a process in another container (user root)"


def test_the_holder_of_an_abstract_name(sockdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = b"\0" + bytes(sockdir)
    assert stale.holder_of_name(name, socket.SOCK_DGRAM) == ""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name)
        assert stale.holder_of_name(name, socket.SOCK_DGRAM).startswith(ME)
        assert stale.holder_of_name(name, socket.SOCK_STREAM) == ""
        monkeypatch.setattr(netlink, "NetlinkSocket", no_netlink)
        assert stale.holder_of_name(name, socket.SOCK_DGRAM) == ""
