"""Bind, own, then open: owner and mode at every instant."""

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from localechod.localsocket import bind as bind_module
from localechod.localsocket import diag, netlink, stale
from localechod.localsocket.address import Address
from localechod.localsocket.bind import bind
from localechod.localsocket.bound import Bound, Request
from localechod.localsocket.entry import DirectoryEntry, PinnedEntry
from tests.integration.harness import needs_root
from tests.unit.bind_requests import NOBODY, as_nobody, refused, request

TYPES = [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET]


def finish(bound: Bound) -> None:
    bound.sock.close()
    bound.remove()


@pytest.mark.parametrize("type_", TYPES)
def test_the_socket_is_bound_as_requested(sockdir: Path, type_: int) -> None:
    path = sockdir / "s"
    bound = bind(request(path, type_, mode=0o604))
    status = path.stat()
    assert stat.filemode(status.st_mode) == "srw----r--"
    assert bound.identity == (status.st_dev, status.st_ino)
    assert bound.sock.type == type_
    assert bound.sock.getsockname() == str(path)
    assert bound.sock.gettimeout() == 0
    assert not bound.sock.get_inheritable()
    listens = bound.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    assert bool(listens) == (type_ != socket.SOCK_DGRAM)
    assert diag.of_socket(bound.sock).name == bytes(path)
    finish(bound)
    assert list(sockdir.iterdir()) == []


@pytest.mark.parametrize("type_", TYPES)
def test_an_abstract_name_has_no_file(sockdir: Path, type_: int) -> None:
    bound = bind(request(f"@{sockdir}", type_))
    assert bound.identity is None
    assert bound.sock.getsockname() == b"\0" + bytes(sockdir)
    assert not bound.remove()
    bound.close()


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
@pytest.mark.parametrize("type_", TYPES)
def test_the_file_is_created_with_mode_0_and_opened_last_whatever_the_umask(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch, type_: int, umask: int
) -> None:
    path = sockdir / "s"
    seen: list[tuple[str, int, bool]] = []

    def watch(step: str) -> None:
        real: Callable[..., object] = getattr(bind_module, step)

        def watched(*arguments: object) -> object:
            listening = any(each.state == diag.STATE_LISTEN for each in diag.named(bytes(path)))
            seen.append((step, stat.S_IMODE(path.stat().st_mode), listening))
            return real(*arguments)

        monkeypatch.setattr(bind_module, step, watched)

    for step in ("_pin_own", "set_owner", "_listen"):
        watch(step)
    before = os.umask(umask)
    try:
        bound = bind(request(path, type_, mode=0o666))
    finally:
        os.umask(before)
    assert seen == [("_pin_own", 0, False), ("set_owner", 0, False), ("_listen", 0o666, False)]
    finish(bound)


@needs_root
def test_the_owner_is_changed_before_the_mode(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, seen = sockdir / "s", os.chmod, []

    def chmod(target: str, mode: int) -> None:
        status = path.stat()
        seen.append((status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)))
        real(target, mode)

    monkeypatch.setattr(os, "chmod", chmod)
    finish(bind(request(path, uid=NOBODY, gid=1)))
    assert seen == [(NOBODY, 1, 0)]


@needs_root
@pytest.mark.parametrize(("uid", "gid"), [(NOBODY, 1), (-1, 1), (NOBODY, -1), (-1, -1), (0, 0)])
def test_root_sets_the_requested_owner(sockdir: Path, uid: int, gid: int) -> None:
    bound = bind(request(sockdir / "s", uid=uid, gid=gid))
    status = (sockdir / "s").stat()
    assert (status.st_uid, status.st_gid) == (max(uid, 0), max(gid, 0))
    finish(bound)


def test_a_correct_owner_is_not_set_again(sockdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A sandbox may forbid the call itself (SystemCallFilter=~@chown).
    def chown(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", chown)
    finish(bind(request(sockdir / "s", uid=os.geteuid(), gid=os.getegid())))


@pytest.mark.parametrize("dead", TYPES)
@pytest.mark.parametrize("type_", TYPES)
def test_a_dead_socket_file_of_any_type_is_replaced(sockdir: Path, dead: int, type_: int) -> None:
    path = sockdir / "s"
    with socket.socket(socket.AF_UNIX, dead) as gone:
        gone.bind(str(path))
    finish(bind(request(path, type_)))


def test_a_dead_socket_file_on_a_tmpfs_is_replaced() -> None:
    path = Path("/dev/shm") / f"localsocket-test-{os.getpid()}"  # noqa: S108 - a tmpfs
    if not os.access(path.parent, os.W_OK):
        pytest.skip("no tmpfs at /dev/shm")
    bind(request(path)).close()
    finish(bind(request(path)))
    assert not path.exists()


def test_our_own_live_socket_is_not_taken_over(sockdir: Path) -> None:
    bound = bind(request(sockdir / "s"))
    error = refused(request(sockdir / "s"))
    assert (error.action, error.errno) == ("bind", errno.EADDRINUSE)
    assert str(error).startswith(
        f"bind failed: Address already in use (98): {sockdir}/s; pid {os.getpid()} ("
    )
    with pytest.raises(BlockingIOError):
        bound.sock.accept()
    finish(bound)


def test_a_file_that_appears_at_the_last_moment_stays(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sockdir / "s"
    monkeypatch.setattr(stale, "remove_dead", lambda *_: path.touch())
    assert refused(request(path)).hint == "another process bound it at the same moment: try again"
    assert path.is_file()


def test_the_error_for_an_abstract_name_in_use_names_its_holder(sockdir: Path) -> None:
    bound = bind(request(f"@{sockdir}"))
    error = refused(request(f"@{sockdir}"))
    assert error.errno == errno.EADDRINUSE
    assert f"pid {os.getpid()} (" in error.hint
    bound.close()


def test_an_abstract_name_that_the_kernel_refuses_fails_without_a_hint() -> None:
    error = refused(Request(Address(b"\0" + b"x" * 200), socket.SOCK_STREAM, 0, -1, -1, 5))
    assert (error.action, error.errno, error.hint) == ("bind", errno.EIO, "")


def pinned_after(
    path: Path, swap: Callable[[Path], object]
) -> Callable[[DirectoryEntry], PinnedEntry]:
    """Replace the new file between bind and pin, as an attacker would."""
    real = DirectoryEntry.pin

    def pin(place: DirectoryEntry) -> PinnedEntry:
        if path.exists():
            path.unlink()
            swap(path)
        return real(place)

    return pin


def regular(path: Path) -> None:
    path.touch(mode=0)


def link(path: Path) -> None:
    path.symlink_to("victim")


def hard_link(path: Path) -> None:
    path.hardlink_to(path.parent / "victim")


def other_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def twice_linked_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        os.fchmod(sock.fileno(), 0)
        sock.bind(str(path))
    path.with_name("twin").hardlink_to(path)


@pytest.mark.parametrize("listed", [True, False], ids=["UNIX_DIAG", "no UNIX_DIAG"])
@pytest.mark.parametrize("swap", [regular, link, hard_link, other_socket, twice_linked_socket])
def test_a_file_that_was_replaced_after_bind_is_not_touched(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], None], listed: bool
) -> None:
    path, victim = sockdir / "s", sockdir / "victim"
    victim.touch(mode=0o600)
    monkeypatch.setattr(DirectoryEntry, "pin", pinned_after(path, swap))
    if not listed:
        monkeypatch.setattr(diag, "of_socket", no_netlink)
    uid = NOBODY if os.geteuid() == 0 else -1
    error = refused(request(path, mode=0o666, uid=uid))
    assert (error.action, error.errno) == ("bind", errno.EADDRINUSE)
    assert "replaced during the bind" in error.hint
    for file in (path, victim):
        assert file.lstat().st_uid == os.geteuid()
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600
    assert os.path.lexists(path)


@needs_root
def test_without_the_kernel_list_a_socket_of_another_user_is_not_ours(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def foreign_socket(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            os.fchmod(sock.fileno(), 0)
            sock.bind(str(path))
        os.chown(path, NOBODY, NOBODY)

    path = sockdir / "s"
    monkeypatch.setattr(DirectoryEntry, "pin", pinned_after(path, foreign_socket))
    monkeypatch.setattr(diag, "of_socket", no_netlink)
    assert "replaced" in refused(request(path, mode=0o666)).hint
    assert stat.S_IMODE(path.stat().st_mode) == 0


def no_netlink(*_: object) -> None:
    raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))


def test_without_the_kernel_list_binding_still_works(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netlink, "NetlinkSocket", no_netlink)
    finish(bind(request(sockdir / "s")))


@needs_root
def test_an_ordinary_user_can_bind_with_their_own_ids(sockdir: Path) -> None:
    os.chown(sockdir, NOBODY, NOBODY)
    as_nobody(
        f"""
        drop()
        path = Path(sys.argv[1]) / "s"
        bound = bind(request(path, mode=0o666, uid={NOBODY}, gid={NOBODY}))
        assert stat.filemode(path.stat().st_mode) == "srw-rw-rw-"
        try:
            bind(request(path))
        except SocketError as error:
            assert error.errno == errno.EADDRINUSE and f"pid {{os.getpid()}}" in error.hint, error
        bound.sock.close()
        bound = bind(request(path))
        assert bound.remove() and not path.exists()
        try:
            bind(request(path, uid=1))
        except SocketError as error:
            assert str(error).startswith("chown failed: Operation not permitted (1)"), error
            assert "only root (CAP_CHOWN)" in error.hint, error
        assert not path.exists()
        """,
        sockdir,
    )


@needs_root
def test_a_file_of_root_stays_where_the_service_user_may_not_remove_it(
    sockdir: Path,
) -> None:
    as_nobody(
        """
        path = Path(sys.argv[1]) / "s"
        bound = bind(request(path))
        drop()
        assert not bound.remove()
        """,
        sockdir,
    )
    assert (sockdir / "s").is_socket()
