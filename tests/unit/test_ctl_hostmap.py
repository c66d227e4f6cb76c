"""The map of a host, from invented sockets: connections, and what is stuck."""

import hashlib
import importlib.resources
import json
import re
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from localechod.ctl import app
from localechod.ctl.hostmap import dot, page, stuck, svg
from localechod.ctl.hostmap.model import Facts, HostMap, Link, Process, Socket, build
from localechod.ctl.hostmap.stuck import Look, Stuck
from localechod.explain import liveness
from localechod.explain.processes import HoldingProcess
from localechod.localsocket.diag import STATE_ESTABLISHED, DiagSocket
from tests.unit.explain_fakes import DOCKERD, SYSTEMD, listener

LISTENER = listener(inode=1)
ACCEPTED = listener(inode=2, state=STATE_ESTABLISHED, peer=3, has_peer=True)
CLIENT = replace(ACCEPTED, inode=3, peer=2, name=None, device=None, file_inode=None, uid=1000)
WAITING = replace(CLIENT, inode=4, peer=0)
CURL = HoldingProcess(900, "alice", "curl", "session-1.scope")
NOTHING = Stuck({}, {})
HOLDERS = {1: [SYSTEMD, DOCKERD], 2: [DOCKERD], 3: [CURL], 4: [CURL]}

HOSTILE = [
    "</script><script>alert(1)</script>",
    '<img src=x onerror="alert(2)">',
    "<!--",
    'a"]; b -> c [label="',
    "\x1b[31m\n\u202e{data}",
    "\\n\\",
]


def mapped(
    *sockets: DiagSocket,
    holders: dict[int, list[HoldingProcess]] | None = None,
    reasons: Stuck = NOTHING,
) -> HostMap:
    held = HOLDERS if holders is None else holders
    return build(Facts("vm", "now", [sockets], held, reasons, ["a note"]))


def one_link(found: HostMap) -> tuple[str, str, str, dict[str, int]]:
    (link,) = found.links
    ends = [found.processes[index].command for index in (link.client, link.server)]
    return ends[0], ends[1], link.name, link.states


def hostile() -> HostMap:
    """Return a map in which every name is hostile, as `text.escape` leaves it."""
    processes, sockets, links = [], [], []
    for number, name in enumerate(HOSTILE):
        shown = name.replace("\x1b", r"\x1b").replace("\n", r"\n").replace("\u202e", r"\xe2")
        processes.append(Process(number + 1, shown, shown, shown, shown))
        sockets.append(Socket(shown, "stream", True, 1, 1, shown, (number,)))
        links.append(Link(number, 0, shown, "stream", {"accepted": 2}, stuck=shown, stuck_at=0))
    return HostMap("<b>vm</b>", "now", processes, sockets, links, HOSTILE[:2])


def test_a_connection_is_a_link_from_the_client_to_the_server() -> None:
    found = mapped(LISTENER, ACCEPTED, CLIENT)
    assert one_link(found) == ("curl", "dockerd", "/run/docker.sock", {"accepted": 1})
    assert {each.group for each in found.processes} == {
        "session-1.scope",
        "docker.service",
        "init.scope",
    }


def test_a_socket_is_drawn_at_its_service_and_not_at_systemd() -> None:
    (served,) = mapped(LISTENER).sockets
    assert (served.name, served.listening, len(served.processes)) == ("/run/docker.sock", True, 2)
    found = mapped(LISTENER)
    assert found.processes[found.sockets[0].processes[0]].command == "dockerd"


def test_connections_between_two_processes_are_one_link_with_their_number() -> None:
    more = [replace(ACCEPTED, inode=12, peer=13, queue=7), replace(CLIENT, inode=13, peer=12)]
    held = {**HOLDERS, 12: [DOCKERD], 13: [CURL]}
    (link,) = mapped(LISTENER, ACCEPTED, CLIENT, *more, holders=held).links
    assert (link.count, link.to_server, link.to_client) == (2, 7, 0)


def test_a_client_that_is_not_accepted_is_linked_to_the_process_that_listens() -> None:
    found = mapped(replace(LISTENER, queue=1, pending=(4,)), WAITING)
    assert one_link(found) == ("curl", "dockerd", "/run/docker.sock", {"waiting": 1})
    assert found.links[0].to_server == 0  # the queue of a listener is in clients, not in bytes


def test_a_process_without_a_unit_is_grouped_by_command_and_user() -> None:
    found = mapped(LISTENER, holders={1: [replace(DOCKERD, unit="")]})
    assert [each.group for each in found.processes] == ["dockerd (root)"]


def test_processes_that_cannot_be_seen_are_one_node_for_each_user() -> None:
    found = mapped(LISTENER, ACCEPTED, CLIENT, holders={3: [CURL]})
    hidden = [each for each in found.processes if each.pid is None]
    assert [(each.user, each.group) for each in hidden] == [("root", "not visible (root)")]
    assert found.notes == ["a note"]


def test_a_pair_within_one_process_is_left_out() -> None:
    one, other = (
        replace(CLIENT, type=socket.SOCK_DGRAM, inode=inode, peer=peer)
        for inode, peer in ((5, 6), (6, 5))
    )
    assert mapped(one, other, holders={5: [CURL], 6: [CURL]}).links == []
    assert mapped(one, other, holders={5: [CURL], 6: [DOCKERD]}).links[0].name == ""


def test_a_stuck_end_is_told_with_the_process_that_is_at_fault() -> None:
    reasons = Stuck({3: "9 bytes not read in 0.1 s"}, {812: "stopped by a signal"})
    found = mapped(LISTENER, ACCEPTED, CLIENT, reasons=reasons)
    (link,) = found.links
    assert link.stuck_at is not None
    assert (link.stuck, found.processes[link.stuck_at].command) == (reasons.sockets[3], "curl")
    assert {each.stuck for each in found.processes if each.command == "dockerd"} == {
        "stopped by a signal"
    }


# ---- what is stuck -------------------------------------------------------------------------------


def judged(
    before: DiagSocket,
    after: DiagSocket | None,
    *,
    runs: tuple[int, int] = (5, 5),
    free: int | None = 9,
    pid: int = 812,
) -> str | None:
    first, second = (
        Look({each.inode: each} if each else {}, {pid: liveness.Process(pid, free=free, runs=ran)})
        for each, ran in zip((before, after), runs, strict=True)
    )
    return stuck.find(first, second, {before.inode: [pid]}).sockets.get(before.inode)


LINE = replace(LISTENER, queue=2, pending=(8, 9))
UNREAD = replace(ACCEPTED, queue=7)


def test_clients_that_still_wait_are_stuck_also_when_more_come() -> None:
    more = replace(LINE, queue=3, pending=(8, 9, 10))
    assert judged(LINE, more) == "3 connections not accepted in 0.1 s"
    assert judged(LINE, more, free=0) == (
        "3 connections not accepted in 0.1 s; process 812 has all its descriptors in use"
    )


@pytest.mark.parametrize(
    "after", [replace(LINE, queue=1, pending=(9,)), replace(LINE, pending=(9, 10)), None]
)
def test_a_line_that_moves_is_not_stuck(after: DiagSocket | None) -> None:
    assert judged(LINE, after) is None


def test_bytes_that_a_process_could_have_read_are_not_stuck() -> None:
    assert judged(UNREAD, UNREAD) == "7 bytes not read in 0.1 s"
    assert judged(UNREAD, UNREAD, runs=(5, 6)) is None
    assert judged(UNREAD, replace(UNREAD, queue=6)) is None
    assert judged(UNREAD, UNREAD, pid=1) is None  # systemd keeps it for a service


# ---- the page, the picture and the graph ---------------------------------------------------------


def test_the_library_is_the_released_file_and_in_the_package() -> None:
    file = importlib.resources.files("localechod.ctl.hostmap") / page.LIBRARY
    assert hashlib.sha256(file.read_bytes()).hexdigest() == page.LIBRARY_SHA256
    assert f'"{page.LIBRARY_VERSION}"' in file.read_text(encoding="utf-8")
    assert "Copyright" in file.read_text(encoding="utf-8")[:200]


def test_no_name_ends_the_data_of_the_page() -> None:
    text = page.write(hostile())
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert "<" not in data
    assert json.loads(data)["processes"][0]["command"] == HOSTILE[0]
    assert text.count("<script") == text.count("</script>") == 3
    assert "<title>Local sockets of &lt;b&gt;vm&lt;/b&gt;</title>" in text


def test_the_page_loads_nothing_and_runs_two_scripts_only() -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page.write(hostile()))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert policy.count("'sha256-") == 2
    assert "unsafe-eval" not in policy
    assert "http" not in policy


def test_the_picture_is_xml_that_shows_hostile_names_as_text() -> None:
    root = ET.fromstring(svg.write(hostile()))  # noqa: S314 - our own
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert HOSTILE[2] in texts
    assert not list(root.iter("script"))


def test_the_picture_keeps_what_is_stuck_and_counts_what_it_leaves_out() -> None:
    processes = [Process(number, "root", "x", f"u{number}.service", "") for number in range(300)]
    links = [Link(number, 0, "/s", "stream", {"accepted": 9}) for number in range(1, 300)]
    links[-1] = Link(299, 0, "/s", "stream", {"waiting": 1}, stuck="not accepted", stuck_at=0)
    text = svg.write(HostMap("vm", "now", processes, [], links, []))
    assert "u299.service" in text
    assert f"{9 * (298 - 79)} more connections are not drawn" in text
    assert text.count('class="label"') <= svg.MOST_ROWS + 2


def test_a_stuck_socket_without_a_visible_client_is_in_the_picture() -> None:
    reasons = Stuck({1: "2 connections not accepted in 0.1 s"}, {})
    assert reasons.sockets[1] in svg.write(mapped(LINE, reasons=reasons))


def test_graphviz_reads_the_graph() -> None:
    text = dot.write(hostile())
    assert text.count("{") - text.count('{data}"') >= len(HOSTILE)
    assert r'label="a\"]; b -> c [label=\""' in text
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=text.encode(), check=True, capture_output=True)


# ---- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "begin"), [("m.html", "<!doctype html>"), ("m.svg", "<svg "), ("m.dot", "digraph ")]
)
def test_the_file_says_its_format(
    tmp_path: Path, name: str, begin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["sockets", "--map", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_text().startswith(begin)
    assert re.fullmatch(
        rf"{tmp_path}/{name}: \d+ units \(\d+ stuck\), \d+ sockets, \d+ connections\n",
        capsys.readouterr().out,
    )


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["--map", "m.png"], 2, "not a format of a map: m.png; the name ends in .html, .svg, .dot"),
        (["--map", "m.svg", "--json"], 2, "--map draws all sockets; leave out what selects some"),
        (["--map", "/no/m.svg"], 1, "write failed: No such file or directory (2): /no/m.svg"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], status: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["sockets", *words]) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line


def test_a_full_disk_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.svg").symlink_to("/dev/full")
    assert app.run(["sockets", "--map", str(tmp_path / "m.svg")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device (28)" in line
