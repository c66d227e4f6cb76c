"""Hints: what cannot be made to happen for real here, and that looking never fails itself."""

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from localechod.localsocket import netlink, reasons
from localechod.localsocket.address import Address
from localechod.localsocket.reasons import bind_hint, connect_hint, kind, listing


def at(path: Path) -> Address:
    return Address.parse(str(path))


def test_kinds_of_files_have_names() -> None:
    assert kind(stat.S_IFSOCK | 0o777) == "a socket"
    assert kind(Path("/dev/null").stat().st_mode) == "a character device"
    assert kind(0) == "a file of unknown type"


def test_a_file_is_shown_as_ls_does() -> None:
    assert listing(Path("/proc/self/mem").stat()).startswith("-rw------- ")
    assert listing(Path("/").stat()).endswith(" root root")


def test_where_all_modes_allow_it_a_security_module_is_suspected(sockdir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "s"))
    assert "SELinux" in bind_hint(errno.EACCES, at(sockdir / "s"))
    assert "SELinux" in connect_hint(errno.EACCES, at(sockdir / "s"))


def test_a_read_only_file_system_names_the_directive(sockdir: Path) -> None:
    hint = bind_hint(errno.EROFS, at(sockdir / "s"))
    assert hint.endswith(f"ProtectSystem=: add ReadWritePaths={sockdir} to the unit")


def test_an_unknown_number_gets_no_guess(sockdir: Path) -> None:
    assert bind_hint(errno.EIO, at(sockdir / "s")) == ""
    assert connect_hint(errno.EIO, at(sockdir / "s")) == ""
    assert connect_hint(errno.EIO, Address.parse("@x")) == ""


def test_a_directory_that_was_missing_and_is_there_by_now_gets_no_guess(sockdir: Path) -> None:
    assert bind_hint(errno.ENOENT, at(sockdir / "s")) == ""


def test_looking_for_the_reason_never_fails_itself(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect_hint(errno.ECONNREFUSED, at(sockdir / "gone")) == ""

    def gone(*_: object) -> str:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(reasons, "_broken_directory", gone)
    assert bind_hint(errno.ENOENT, at(sockdir / "s")) == ""


def test_without_the_kernel_list_a_refusal_is_explained_as_far_as_it_can_be(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_netlink(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "s"))
    monkeypatch.setattr(netlink, "Channel", no_netlink)
    assert connect_hint(errno.ECONNREFUSED, at(sockdir / "s")) == "nobody listens on it"


def test_a_type_that_cannot_be_found_out_is_another_one(sockdir: Path) -> None:
    (sockdir / "s").touch()
    hint = connect_hint(errno.EPROTOTYPE, at(sockdir / "s"))
    assert hint == "it is of another socket type"
