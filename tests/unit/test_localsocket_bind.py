"""Bind, own, then open: owner and mode at every instant, and no file after a failure."""

import errno
import os
import resource
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import localechod
from localechod.errors import SocketError
from localechod.localsocket import bind as bind_module
from localechod.localsocket import diag, netlink, stale
from localechod.localsocket.address import Address
from localechod.localsocket.bind import bind
from localechod.localsocket.bound import Bound, Request
from localechod.localsocket.entry import DirectoryEntry, PinnedEntry
from tests.integration.harness import needs_root

SOURCE = str(Path(localechod.__file__).parents[1])
NOBODY = 65534
TYPES = [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET]


def request(
    path: Path | str,
    type_: int = socket.SOCK_STREAM,
    *,
    mode: int = 0o640,
    uid: int = -1,
    gid: int = -1,
) -> Request:
    return Request(Address.parse(str(path)), type_, mode, uid, gid, backlog=5)


def refused(asked: Request) -> SocketError:
    """Return the error of a bind that must fail; it must not leak a descriptor either."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(SocketError) as caught:
        bind(asked)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    return caught.value


def finish(bound: Bound) -> None:
    bound.sock.close()
    bound.remove()


def as_nobody(code: str, *arguments: object) -> None:
    """Run code as nobody, in a process that began as root and imported everything before."""
    begin = f"""
        import errno, os, socket, stat, sys
        from pathlib import Path
        from localechod.errors import SocketError
        from localechod.localsocket.address import Address
        from localechod.localsocket.bind import bind
        from localechod.localsocket.bound import Request
        def request(path, **changes):
            return Request(Address.parse(str(path)), **(
                dict(type=socket.SOCK_STREAM, mode=0o600, uid=-1, gid=-1, backlog=5) | changes))
        def drop():
            os.setgroups([])
            os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
            os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
    """
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(begin) + textwrap.dedent(code),
            *map(str, arguments),
        ],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if done.returncode == 77:
        pytest.skip("no mount namespace to be had here")
    assert done.returncode == 0, done.stderr


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


@pytest.mark.parametrize(
    ("below", "number", "hint"),
    [
        ("none/deep/s", errno.ENOENT, "directory {}/none does not exist: create it"),
        ("file/s", errno.ENOTDIR, "{}/file is a regular file, not a directory"),
        ("link/s", errno.ENOENT, "{}/link is a symbolic link to a missing target: create it"),
    ],
)
def test_the_hint_names_the_broken_directory(
    sockdir: Path, below: str, number: int, hint: str
) -> None:
    (sockdir / "file").touch()
    (sockdir / "link").symlink_to("nowhere")
    error = refused(request(sockdir / below))
    assert (error.action, error.errno) == ("bind", number)
    assert error.hint == hint.format(sockdir)


@needs_root
def test_a_read_only_directory_is_recognized(sockdir: Path) -> None:
    as_nobody(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        CLONE_NEWNS, MS_RDONLY, MS_PRIVATE_REC = 0x20000, 1, 0x44000
        directory = sys.argv[1]
        if (
            libc.unshare(CLONE_NEWNS)
            or libc.mount(None, b"/", None, MS_PRIVATE_REC, None)
            or libc.mount(b"tmpfs", directory.encode(), b"tmpfs", MS_RDONLY, None)
        ):
            sys.exit(77)
        try:
            bind(request(directory + "/s"))
        except SocketError as error:
            assert (error.action, error.errno) == ("bind", errno.EROFS), error
            assert f"add ReadWritePaths={directory} to the unit" in error.hint, error
        else:
            raise AssertionError("it was writable")
        """,
        sockdir,
    )


def test_an_impossible_type_fails_at_socket(sockdir: Path) -> None:
    error = refused(request(sockdir / "s", 99))
    assert (error.action, error.path) == ("socket", f"{sockdir}/s")


def test_a_failed_listen_removes_the_file(sockdir: Path) -> None:
    # For SOCK_RAW, AF_UNIX creates a datagram socket, which cannot listen.
    error = refused(request(sockdir / "s", socket.SOCK_RAW))
    assert (error.action, error.errno) == ("listen", errno.EOPNOTSUPP)
    assert list(sockdir.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOENT, "owner and mode are set through /proc: mount it"),
        (errno.EPERM, "CAP_FOWNER"),
        (errno.EIO, ""),
    ],
)
def test_a_failed_chmod_removes_the_file(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def chmod(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "chmod", chmod)
    error = refused(request(sockdir / "s"))
    assert (error.action, error.errno) == ("chmod", number)
    assert hint in error.hint
    assert list(sockdir.iterdir()) == []


def test_without_proc_the_hint_for_chown_is_to_mount_it(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PinnedEntry, "handle", "/nonexistent/fd")
    error = refused(request(sockdir / "s", uid=os.geteuid() + 1))
    assert (error.action, error.errno) == ("chown", errno.ENOENT)
    assert "/proc" in error.hint


def test_running_out_of_descriptors_leaves_no_file(sockdir: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    # Enough descriptors for the directory and the socket, but not for pinning the new file.
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 2, hard))
    try:
        with pytest.raises(SocketError) as caught:
            bind(request(sockdir / "s"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (caught.value.action, caught.value.errno) == ("bind", errno.EMFILE)
    assert list(sockdir.iterdir()) == []


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


@needs_root
def test_the_hint_names_the_missing_permission_and_the_directory(sockdir: Path) -> None:
    (sockdir / "closed").mkdir(mode=0o700)
    (sockdir / "closed" / "in").mkdir()
    as_nobody(
        """
        drop()
        for below, hint in (
            ("s", "run as a user who may write to {} (drwxr-xr-x root root)"),
            ("closed/in/s", "run as a user who may enter {}/closed (drwx------ root root)"),
            ("closed/s", "run as a user who may enter {}/closed (drwx------ root root)"),
        ):
            try:
                bind(request(f"{sys.argv[1]}/{below}"))
            except SocketError as error:
                assert str(error).startswith("bind failed: Permission denied (13)"), error
                assert error.hint == hint.format(sys.argv[1]), error
                assert error.exit_status == 4
            else:
                raise AssertionError(below)
        """,
        sockdir,
    )
