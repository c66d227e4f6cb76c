"""A bind that fails: the step and the hint are named, and no file remains."""

import errno
import os
import resource
import socket
from pathlib import Path

import pytest

from localechod.errors import SocketError
from localechod.localsocket.bind import bind
from localechod.localsocket.entry import PinnedEntry
from tests.integration.harness import needs_root
from tests.unit.bind_requests import as_nobody, refused, request


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
