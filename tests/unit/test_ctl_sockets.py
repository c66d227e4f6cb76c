"""localechoctl sockets: compared with ss, with forged names, and as a page."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localechod.ctl import app
from localechod.ctl.commands.sockets import as_text
from localechod.errors import LocalechodError
from localechod.explain.processes import HoldingProcess
from localechod.localsocket import diag, holders
from tests.golden_pages import compare
from tests.integration.harness import as_user, needs_all_namespaces, needs_root
from tests.unit.explain_fakes import DOCKERD, SYSTEMD, listener

Rows = list[dict[str, Any]]
List = Callable[..., Rows]


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str]) -> List:
    def run(*words: str) -> Rows:
        assert app.run(["sockets", "--json", *words]) == 0
        rows: Rows = json.loads(capsys.readouterr().out)
        return rows

    return run


@pytest.fixture
def ours(sockdir: Path) -> Iterator[dict[str, socket.socket]]:
    """Sockets of all types and states."""
    kinds = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET}
    found = {}
    for name, kind in kinds.items():
        found[name] = socket.socket(socket.AF_UNIX, kind)
        found[name].bind(str(sockdir / name))
        found[name].listen(7)
    found["closed"] = socket.socket(socket.AF_UNIX)
    found["closed"].bind(str(sockdir / "closed"))
    found["datagram"] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found["datagram"].bind(str(sockdir / "datagram"))
    found["client"] = socket.socket(socket.AF_UNIX)
    found["client"].connect(str(sockdir / "stream"))
    yield found
    for sock in found.values():
        sock.close()


def test_json_of_a_listener_has_every_field(
    ours: dict[str, socket.socket], sockdir: Path, listed: List
) -> None:
    (row,) = listed(f"{sockdir}/stream")
    me = {"pid": os.getpid(), "user": Path(f"/proc/{os.getpid()}").owner()}
    (holder,) = row.pop("holders")
    assert {key: holder[key] for key in me} == me
    assert set(holder) == {"pid", "user", "command", "unit"}
    assert row == {
        "type": "stream",
        "state": "listening",
        "path": f"{sockdir}/stream",
        "inode": os.fstat(ours["stream"].fileno()).st_ino,
        "queue": 1,
        "backlog": 7,
    }


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ["closed", "datagram", "seqpacket", "stream"]),
        (["--listening"], ["datagram", "seqpacket", "stream"]),
        (["--type", "stream"], ["closed", "stream"]),
        (["--type", "seqpacket", "-l"], ["seqpacket"]),
        (["--user", str(os.geteuid())], ["closed", "datagram", "seqpacket", "stream"]),
        (["--user", "games"], []),
    ],
)
def test_filters(
    ours: dict[str, socket.socket],
    sockdir: Path,
    listed: List,
    words: list[str],
    names: list[str],
) -> None:
    assert [Path(row["path"]).name for row in listed(f"{sockdir}/*", *words)] == names


def test_a_socket_without_a_name_has_none(ours: dict[str, socket.socket], listed: List) -> None:
    inode = os.fstat(ours["client"].fileno()).st_ino
    for words in ([], ["*"]):
        (row,) = [row for row in listed(*words) if row["inode"] == inode]
        assert (row["path"], row["state"]) == (None, "connected")


@pytest.mark.skipif(not shutil.which("ss"), reason="ss (iproute2) is not installed")
def test_ss_says_the_same_of_ours(
    ours: dict[str, socket.socket], sockdir: Path, listed: List
) -> None:
    done = subprocess.run(["ss", "-xaH"], capture_output=True, text=True, check=True)
    theirs = {
        int(words[5]): (words[0], words[1], int(words[2]), int(words[3]), words[4])
        for words in map(str.split, done.stdout.splitlines())
        if len(words) > 5 and words[5].isdecimal()  # others' names may have a newline
    }
    types = {"stream": "u_str", "datagram": "u_dgr", "seqpacket": "u_seq"}
    states = {"listening": "LISTEN", "connected": "ESTAB", "unconnected": "UNCONN"}
    inodes = {os.fstat(sock.fileno()).st_ino for sock in ours.values()}
    mine = {
        row["inode"]: (
            types[row["type"]],
            states[row["state"]],
            row["queue"],
            row["backlog"],
            row["path"] or "*",
        )
        for row in listed()
        if row["inode"] in inodes
    }
    assert len(mine) == len(ours)
    assert mine == {inode: theirs[inode] for inode in inodes}


def test_a_datagram_socket_is_not_connected_by_its_clients(
    ours: dict[str, socket.socket], sockdir: Path, listed: List
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind(str(sockdir / "client"))
        client.connect(str(sockdir / "datagram"))
        states = {Path(row["path"]).name: row["state"] for row in listed(f"{sockdir}/*")}
    assert (states["datagram"], states["client"]) == ("unconnected", "connected")


def test_a_path_finds_the_socket_of_the_file_under_any_name(
    ours: dict[str, socket.socket], sockdir: Path, listed: List, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sockdir / "link").symlink_to(sockdir)
    (sockdir / "hard").hardlink_to(sockdir / "stream")
    (sockdir / "seqpacket").rename(sockdir / "renamed")
    monkeypatch.chdir(sockdir)
    streams = [f"{sockdir}/link/stream", f"{sockdir}/hard", "./hard", f"unix://{sockdir}/stream"]
    streams.append(f"/proc/{os.getpid()}/root{sockdir}/hard")
    for path in streams:
        assert [row["path"] for row in listed(path)] == [f"{sockdir}/stream"], path
    assert [row["path"] for row in listed(f"{sockdir}/renamed")] == [f"{sockdir}/seqpacket"]
    (sockdir / "stream").unlink()
    assert len(listed(f"{sockdir}/stream")) == 1  # by its name


def test_an_abstract_name_is_found_however_its_nul_bytes_are_written(
    sockdir: Path, listed: List
) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(b"\0" + sockdir.name.encode() + b"\0\0")
        words = ["", r"\x00", r"\x00\x00", "@@"]  # the last one is how ss shows it
        found = [listed(f"@{sockdir.name}{word}") for word in words]
        assert [len(rows) for rows in found] == [1, 1, 1, 1]
        assert found[0][0]["path"] == rf"@{sockdir.name}\x00\x00"
        assert listed(f"unix:abstract={sockdir.name},guid=00") == found[0]
        assert listed(f"@{sockdir.name}x") == []


def test_the_queue_of_a_datagram_socket_is_the_next_message_only(
    ours: dict[str, socket.socket], sockdir: Path, listed: List
) -> None:
    # The manual says so. A kernel that counts more makes this test, and the manual, wrong.
    for message in (b"five.", b"and more"):
        ours["datagram"].sendto(message, str(sockdir / "datagram"))
    (row,) = listed(f"{sockdir}/datagram")
    assert row["queue"] == len(b"five.")


def test_a_name_with_newlines_forges_no_row(
    sockdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = "stream  listening  0  128  4242  /run/forged.sock"
    with socket.socket(socket.AF_UNIX) as forger:
        forger.bind(f"\0{sockdir.name}\n{fake}\x1b[2J\\".encode())
        assert app.run(["sockets", f"@{sockdir.name}*"]) == 0
    _, row, *holders = capsys.readouterr().out.splitlines()
    assert row.endswith(rf"@{sockdir.name}\n{fake}\x1b[2J\\")
    assert all(line.startswith("    ") for line in holders)


def test_a_relative_name_does_not_pass_for_an_abstract_one(
    sockdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sockdir)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("@relative")
        assert app.run(["sockets", "?x40relative"]) == 0
    assert r"  \x40relative" in capsys.readouterr().out


@needs_root
def test_the_number_of_unreadable_processes_is_on_standard_error(
    ours: dict[str, socket.socket],
    sockdir: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert as_user(65534, [], lambda: app.run(["sockets", f"{sockdir}/stream"])) == 0
    shown = capfd.readouterr()
    assert re.fullmatch(r"\d+ process(es)? could not be inspected; root sees more\n", shown.err)
    assert shown.out.splitlines()[1].endswith(f"{sockdir}/stream")


@needs_root
@needs_all_namespaces
def test_an_empty_list_names_the_namespaces_that_were_not_searched(
    ours: dict[str, socket.socket], sockdir: Path
) -> None:
    words = ["unshare", "--net", sys.executable, "-m", "localechod.ctl", "sockets"]
    done = subprocess.run(
        [*words, f"{sockdir}/stream"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.count("\n") == 1  # the headers
    # Other programs of this machine may have network namespaces of their own.
    found = r"in this network namespace; \d+ other network namespaces? (was|were) not searched"
    assert re.search(found, done.stderr)
    assert app.run(["sockets", f"{sockdir}/stream"]) == 0


def test_processes_are_read_once_for_any_number_of_sockets(
    ours: dict[str, socket.socket], listed: List, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = holders._descriptors

    def counted(pid: int) -> list[str]:
        read.append(pid)
        return real(pid)

    monkeypatch.setattr(holders, "_descriptors", counted)
    assert len(listed()) >= len(ours)
    assert len(read) == len(set(read))


@pytest.mark.parametrize("user", ["nosuch", "99999999999999999999x"])
def test_an_unknown_user_is_a_usage_error(user: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["sockets", "--user", user]) == 2
    assert capsys.readouterr().err == f"no such user: {user}; see getent passwd\n"


def test_without_unix_diag_one_line_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused() -> list[diag.DiagSocket]:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(diag, "sockets", refused)
    assert app.run(["sockets"]) == LocalechodError.exit_status
    assert capsys.readouterr().err == (
        "listing failed: Address family not supported by protocol (97); "
        "it needs UNIX_DIAG in the kernel, and AF_NETLINK\n"
    )


def test_the_page_is_as_reviewed() -> None:
    page = as_text(
        [
            (listener(), [SYSTEMD, DOCKERD]),
            (
                listener(name=b"\0x\ny", inode=1_234_567, state=7),
                [HoldingProcess(7, "bob", "", "")],
            ),
            (listener(name=None, state=1, queue=5), []),
        ]
    )
    compare("sockets", page + "\n")
    assert max(map(len, page.splitlines())) <= 80
