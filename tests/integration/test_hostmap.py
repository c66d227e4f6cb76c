"""The map of a host: real sockets that are stuck, and the page in a real browser."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from localechod.ctl.hostmap import page, survey
from localechod.ctl.hostmap.model import HostMap, Link, Process, Socket, build
from localechod.ctl.hostmap.survey import gather
from localechod.explain.processes import HoldingProcess, processes_of
from tests.integration.browser import PROGRAM, REASON, Browser, browser
from tests.integration.harness import as_user, needs_root
from tests.integration.stage import NOBODY, Stage
from tests.unit.test_ctl_hostmap import hostile

needs_browser = pytest.mark.skipif(PROGRAM is None, reason=REASON)


# ---- real sockets --------------------------------------------------------------------------------


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def link_of(found: HostMap, name: str) -> Link:
    (link,) = [each for each in found.links if each.name == name]
    return link


def test_what_waits_is_stuck_and_what_is_served_is_not(sockdir: Path) -> None:
    with ExitStack() as stack:
        servers = {}
        for name in ("served", "deaf"):
            servers[name] = stack.enter_context(socket.socket(socket.AF_UNIX))
            servers[name].bind(str(sockdir / name))
            servers[name].listen()
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(sockdir / name))
        stack.enter_context(servers["served"].accept()[0])
        found = build(gather())
        served, deaf = (link_of(found, f"{sockdir}/{name}") for name in ("served", "deaf"))
        assert (served.states, served.stuck) == ({"accepted": 1}, "")
        assert deaf.states == {"waiting": 1}
        assert deaf.stuck == "1 connection not accepted in 0.1 s"
        assert found.processes[deaf.server].pid == os.getpid()


def test_a_stopped_process_is_stuck_with_the_bytes_that_it_does_not_read(sockdir: Path) -> None:
    path = str(sockdir / "s")
    ready, told = os.pipe()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        pid = os.fork()
        if pid == 0:
            peer = server.accept()[0]
            os.write(told, b"\n")
            peer.recv(1)
            os._exit(0)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            os.read(ready, 1)
            os.kill(pid, signal.SIGSTOP)
            os.waitid(os.P_PID, pid, os.WSTOPPED)
            client.send(b"hello")
            found = build(gather())
            link = link_of(found, path)
            assert (link.to_server, link.stuck) == (5, "5 bytes not read in 0.1 s")
            assert found.processes[link.server].pid == pid
            assert found.processes[link.server].stuck == "stopped by a signal"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(told)


def test_a_process_that_ends_meanwhile_is_on_the_map_and_not_stuck(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(sockdir / "s"))
        server.listen()
        client.connect(str(sockdir / "s"))
        holder = subprocess.Popen(["sleep", "infinity"], pass_fds=[server.fileno()])
        server.close()

        def found_and_ended(inodes: set[int]) -> tuple[dict[int, list[HoldingProcess]], int]:
            found = processes_of(inodes)
            holder.kill()
            holder.wait()
            return found

        monkeypatch.setattr(survey, "processes_of", found_and_ended)
        found = build(gather())
    link = link_of(found, f"{sockdir}/s")
    server_process = found.processes[link.server]
    assert (server_process.pid, server_process.stuck, link.stuck) == (holder.pid, "", "")


@needs_root
def test_an_ordinary_user_gets_what_they_see_and_a_line_that_says_so(sockdir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(sockdir / "s"))
        server.listen()

        def look() -> int:
            server.close()  # this process has it from its parent
            found = build(gather())
            (served,) = [each for each in found.sockets if each.name == f"{sockdir}/s"]
            assert found.processes[served.processes[0]].group == "not visible (root)"
            assert any("could not be inspected; root sees more" in each for each in found.notes)
            return 0

        assert as_user(NOBODY, [], look) == 0


# ---- the page in a browser -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def small() -> HostMap:
    """Return a map of four units, one of which has three processes; one socket is stuck."""
    processes = [
        Process(1, "root", "systemd", "init.scope", ""),
        Process(812, "root", "dockerd", "docker.service", ""),
        Process(900, "alice", "curl", "session-1.scope", ""),
        Process(901, "alice", "docker", "session-1.scope", ""),
        Process(902, "bob", "python3", "session-1.scope", ""),
        Process(7, "postgres", "postgres", "postgresql.service", ""),
    ]
    sockets = [
        Socket("/run/docker.sock", "stream", True, 2, 128, "2 not accepted", (1, 0)),
        Socket("/run/postgresql/.s.PGSQL.5432", "stream", True, 0, 128, "", (5,)),
    ]
    links = [
        Link(2, 1, "/run/docker.sock", "stream", {"waiting": 2}, 0, 0, "2 not accepted", 1),
        Link(3, 1, "/run/docker.sock", "stream", {"accepted": 1}),
        Link(4, 0, "/run/systemd/private", "stream", {"accepted": 1}),
    ]
    return HostMap("vm", "now", processes, sockets, links, ["a note"])


def thousand() -> HostMap:
    """Return a map of 1,000 sockets and as many connections in 50 units."""
    processes = [
        Process(10 + n, "root", "worker", f"unit-{n % 50}.service", "") for n in range(500)
    ]
    sockets = [Socket(f"/run/{n}.sock", "stream", True, 0, 9, "", (n % 500,)) for n in range(1000)]
    links = [
        Link(n % 500, n * 7 % 40, f"/run/{n * 7 % 40}.sock", "stream", {"accepted": 1})
        for n in range(1000)
    ]
    return HostMap("vm", "now", processes, sockets, links, [])


def opened(chromium: Browser, path: Path, found: HostMap, *, dark: bool = False) -> Browser:
    path.write_text(page.write(found), encoding="utf-8")
    chromium.complaints.clear()
    chromium.requests.clear()
    chromium.open(path, dark=dark)
    return chromium


def shown(chromium: Browser) -> tuple[set[str], int]:
    """Return the ids of the graph's nodes, and the number of its edges."""
    ids = chromium.evaluate("JSON.stringify(hostmap.cy.nodes().map((each) => each.id()))")
    return set(json.loads(ids)), chromium.evaluate("hostmap.cy.edges().length")


def search(chromium: Browser, text: str, field: str = "any") -> None:
    chromium.evaluate(
        f"document.getElementById('field').value = {json.dumps(field)};"
        "document.getElementById('text').value = '';"
        "document.getElementById('text').focus()"
    )
    chromium.type(text)


def click_node(chromium: Browser, identity: str) -> None:
    place = f"hostmap.cy.getElementById({json.dumps(identity)}).renderedPosition()"
    box = "document.getElementById('graph').getBoundingClientRect()"
    x, y = json.loads(
        chromium.evaluate(f"JSON.stringify([{place}.x + {box}.x, {place}.y + {box}.y])")
    )
    chromium.click(x, y)


def details(chromium: Browser) -> str:
    text: str = chromium.evaluate("document.getElementById('details').innerText")
    return text


@needs_browser
def test_the_page_shows_units_and_a_click_opens_one(chromium: Browser, tmp_path: Path) -> None:
    opened(chromium, tmp_path / "m.html", small())
    units = {"g:init.scope", "g:docker.service", "g:session-1.scope", "g:postgresql.service"}
    assert shown(chromium) == (units, 2)
    click_node(chromium, "g:session-1.scope")
    assert shown(chromium) == (units | {"p:2", "p:3", "p:4"}, 3)
    assert "docker (901)" in details(chromium)
    click_node(chromium, "p:2")
    assert "curl (900) → dockerd (812): 2 waiting" in details(chromium)
    assert chromium.complaints == []
    assert [each for each in chromium.requests if not each.startswith("file:")] == []


@needs_browser
@pytest.mark.parametrize(
    ("text", "field", "units"),
    [
        ("postgres", "any", {"postgresql.service"}),
        ("bob", "user", {"session-1.scope", "init.scope"}),
        ("DOCKERD", "process", {"docker.service", "session-1.scope"}),
        ("901", "process", {"docker.service", "session-1.scope"}),
        ("private", "name", {"session-1.scope", "init.scope"}),
        ("init", "group", {"init.scope", "session-1.scope"}),
        ("init", "name", set()),
    ],
)
def test_a_search_leaves_what_matches_and_its_peers(
    chromium: Browser, tmp_path: Path, text: str, field: str, units: set[str]
) -> None:
    opened(chromium, tmp_path / "m.html", small())
    search(chromium, text, field)
    assert shown(chromium)[0] == {f"g:{unit}" for unit in units}
    assert chromium.complaints == []


@needs_browser
def test_stuck_only_leaves_what_is_stuck(chromium: Browser, tmp_path: Path) -> None:
    opened(chromium, tmp_path / "m.html", small())
    chromium.evaluate("document.getElementById('stuck').click()")
    assert shown(chromium)[0] >= {"g:docker.service", "g:session-1.scope"}
    assert "g:postgresql.service" not in shown(chromium)[0]
    count = chromium.evaluate("document.getElementById('count').textContent")
    assert re.fullmatch(r"\d units, 2 connections, \d stuck", count)
    reds = "hostmap.cy.edges('[stuck=1]').map((each) => each.style('line-color')).join()"
    assert chromium.evaluate(reds) == "rgb(207,34,46)"


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_hostile_names_are_text(chromium: Browser, tmp_path: Path, dark: bool) -> None:
    found = hostile()
    opened(chromium, tmp_path / "m.html", found, dark=dark)
    for number in range(len(found.processes)):
        chromium.evaluate(f"document.querySelectorAll('#units button')[{number}].click()")
    assert "</script><script>alert(1)</script>" in details(chromium)
    assert chromium.evaluate("document.querySelectorAll('img, #details script').length") == 0
    assert chromium.evaluate("document.scripts.length") == 3
    assert chromium.complaints == []


def overlapping(chromium: Browser) -> list[tuple[str, str]]:
    """Return the pairs of nodes of which one lies on the other; an open unit has its own inside."""
    nodes = "hostmap.cy.nodes(':orphan').map((each) => [each.id(), each.boundingBox()])"
    boxes = json.loads(chromium.evaluate(f"JSON.stringify({nodes})"))
    return [
        (name, other)
        for number, (name, one) in enumerate(boxes)
        for other, two in boxes[:number]
        if one["x1"] < two["x2"] and two["x1"] < one["x2"]
        if one["y1"] < two["y2"] and two["y1"] < one["y2"]
    ]


@needs_browser
def test_a_thousand_sockets_are_few_nodes_that_do_not_overlap(
    chromium: Browser, tmp_path: Path
) -> None:
    opened(chromium, tmp_path / "m.html", thousand())
    assert len(shown(chromium)[0]) == 50
    assert overlapping(chromium) == []
    for number in (0, 7, 45):
        chromium.evaluate(f"document.querySelector('[title=\"unit-{number}.service\"]').click()")
    assert len(shown(chromium)[0]) == 50 + 30
    assert overlapping(chromium) == []
    assert chromium.complaints == []
