"""Walks that fail for lack of permission; others are compared with the kernel elsewhere."""

import os
import socket
from pathlib import Path

import pytest

from localechod.explain import mounts, walk
from localechod.explain.walk import Walk
from tests.integration.harness import as_user, needs_root


def go(path: Path | str) -> Walk:
    root = os.open("/", os.O_PATH)
    start = os.open(".", os.O_PATH)
    try:
        return walk.walk_path(os.fsencode(path), root, start, mounts.table(os.getpid()))
    finally:
        os.close(root)
        os.close(start)


def test_directories_and_links_are_in_the_kernels_order(sockdir: Path) -> None:
    (sockdir / "a").mkdir()
    (sockdir / "link").symlink_to("a")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "a" / "s"))
    found = go(sockdir / "link" / "s")
    shown = [os.fsdecode(each.path) for each in found.steps]
    here = str(sockdir)
    assert shown == ["/", "/tmp", here, f"{here}/link", here, f"{here}/a"]  # noqa: S108 - pytest's
    assert found.end
    assert found.end.path == f"{here}/a/s".encode()
    assert found.end.inode == (sockdir / "a" / "s").stat().st_ino


def test_a_link_in_proc_ends_the_walk() -> None:
    found = go("/proc/self/fd/0")
    assert (found.end, found.stopped_at) == (None, b"/proc/self")
    assert "another target for each process" in found.failure


@needs_root
def test_a_directory_that_we_may_not_search_ends_the_walk(sockdir: Path) -> None:
    (sockdir / "closed").mkdir(mode=0o700)

    def looked() -> int:
        found = go(sockdir / "closed" / "s")
        return 0 if "Permission denied (13)" in found.failure and not found.number else 1

    assert as_user(65534, [], looked) == 0


def test_an_acl_that_cannot_be_read_ends_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getxattr", lambda *_: b"\x03\0\0\0")
    assert go("/tmp/x").failure == "not a POSIX ACL of version 2"  # noqa: S108 - not written to


def test_a_file_system_that_refuses_stat_ends_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: int) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:  # pytest needs the real one
        patched.setattr(os, "fstat", closed)
        found = go("/srv/x")
    assert found.failure == "Permission denied (13)"
