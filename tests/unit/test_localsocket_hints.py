"""Hints for cases that cannot be created here, and a search that never raises."""

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from localechod.localsocket import hints, netlink
from localechod.localsocket.address import Address
from localechod.localsocket.hints import bind_hint, connect_hint, kind, listing
from tests.integration.harness import needs_root


def at(path: Path) -> Address:
    return Address.parse(str(path))


def test_file_types_have_names() -> None:
    assert kind(stat.S_IFSOCK | 0o777) == "a socket"
    assert kind(Path("/dev/null").stat().st_mode) == "a character device"
    assert kind(0) == "a file of unknown type"


def test_a_file_is_shown_as_ls_does() -> None:
    assert listing(Path("/proc/self/mem").stat()).startswith("-rw------- ")
    assert listing(Path("/").stat()).endswith(" root root")


def test_the_hint_is_a_security_module_where_all_modes_allow_it(sockdir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "s"))
    assert "SELinux" in bind_hint(errno.EACCES, at(sockdir / "s"))
    assert "SELinux" in connect_hint(errno.EACCES, at(sockdir / "s"))


def test_a_read_only_file_system_names_the_directive(sockdir: Path) -> None:
    hint = bind_hint(errno.EROFS, at(sockdir / "s"))
    assert hint.endswith(f"ProtectSystem=: add ReadWritePaths={sockdir} to the unit")


def test_an_unknown_errno_has_no_hint(sockdir: Path) -> None:
    assert bind_hint(errno.EIO, at(sockdir / "s")) == ""
    assert connect_hint(errno.EIO, at(sockdir / "s")) == ""
    assert connect_hint(errno.EIO, Address.parse("@x")) == ""


def test_a_directory_that_exists_by_now_has_no_hint(sockdir: Path) -> None:
    assert bind_hint(errno.ENOENT, at(sockdir / "s")) == ""


def test_searching_a_hint_never_raises(sockdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect_hint(errno.ECONNREFUSED, at(sockdir / "gone")) == ""

    def gone(*_: object) -> str:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(hints, "_broken_directory", gone)
    assert bind_hint(errno.ENOENT, at(sockdir / "s")) == ""


def test_without_the_kernel_list_the_hint_for_a_refusal_is_shorter(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_netlink(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "s"))
    monkeypatch.setattr(netlink, "NetlinkSocket", no_netlink)
    assert connect_hint(errno.ECONNREFUSED, at(sockdir / "s")) == "no process listens on it"


def test_an_unknown_type_is_called_another_type(sockdir: Path) -> None:
    (sockdir / "s").touch()
    hint = connect_hint(errno.EPROTOTYPE, at(sockdir / "s"))
    assert hint == "it has another socket type"


CONNECT = """
import os, sys
from localechod.errors import SocketError
from localechod.localsocket.address import Address
from localechod.localsocket.connect import connect
try:
    connect(Address.parse(sys.argv[1]), None, 5.0)
except SocketError as error:
    print(error.errno, error.hint)
"""


@needs_root
def test_a_bind_mount_of_a_replaced_file_has_its_own_hint(sockdir: Path) -> None:
    mounted = sockdir / "mounted"
    mounted.touch()
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.bind(str(sockdir / "s"))
        first.listen()
        inside = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            'mount --bind "$1" "$2"; read go; shift 2; "$@"',
        ]
        with subprocess.Popen(
            [*inside, "sh", sockdir / "s", mounted, sys.executable, "-c", CONNECT, mounted],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as client:
            while f" {mounted} " not in Path(f"/proc/{client.pid}/mountinfo").read_text():
                os.sched_yield()
            first.close()
            (sockdir / "s").unlink()
            second.bind(str(sockdir / "s"))
            second.listen()
            answer, _ = client.communicate("\n", timeout=30)
    assert answer.startswith(f"{errno.ECONNREFUSED} it is a bind mount of a file that the server")


def test_root_of_a_user_namespace_has_a_hint_about_unmapped_owners(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    maps = {"uid_map": b"0 1000 1\n", "overflowuid": b"65534\n"}
    monkeypatch.setattr(Path, "read_bytes", lambda path: maps[path.name])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    stranger = os.stat_result((0o140600, 0, 0, 1, 65534, 65534, 0, 0, 0, 0))
    known = os.stat_result((0o140600, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    assert hints._beyond_root(stranger).endswith("so root has no permission")
    assert hints._beyond_root(known) == ""
    maps["uid_map"] = b"         0          0 4294967295\n"  # all are known, so it is nobody's
    assert hints._beyond_root(stranger) == ""
