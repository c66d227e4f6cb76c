"""localechoctl top: rates and queues from two samples, and a frame for any size of terminal."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from localechod.control.messages import ControlStatus, EndpointStatus, StatusReport
from localechod.ctl import app
from localechod.ctl.render import width
from localechod.ctl.top import page
from localechod.ctl.top.model import Frame, Sample, SocketQueue, frame
from localechod.ctl.top.page import View, pressed
from localechod.localsocket.diag import STATE_ESTABLISHED, DiagSocket
from tests.unit.control_fakes import about, endpoint
from tests.unit.explain_fakes import DOCKERD, SYSTEMD, listener

DAEMON = about()
ECHO = endpoint("stream", messages_total=100, errors={"idle_timeout": 1})
LINE = listener(inode=1, queue=5, backlog=4)
CLIENT = listener(inode=3, name=None, peer=2, state=STATE_ESTABLISHED, queue=70)
SERVER = replace(CLIENT, inode=2, peer=3, name=b"/run/docker.sock", queue=0)


def sample(
    seconds: float, *rows: EndpointStatus, sockets: list[DiagSocket] | None = None
) -> Sample:
    report = StatusReport(DAEMON, ControlStatus(connections=1, errors={}), list(rows))
    return Sample(seconds, report, "", sockets or [])


def texts(found: Frame, view: View = View(), size: tuple[int, int] | None = None) -> list[str]:  # noqa: B008 - it is frozen
    return [each.text for each in page.lines(found, view, {}, size)]


def test_rates_are_differences_for_each_second() -> None:
    later = replace(
        ECHO,
        messages_total=140,
        received_bytes_total=4050,
        errors={"idle_timeout": 1, "too_long": 6},
    )
    (row,) = frame(sample(10, ECHO), sample(14, later)).endpoints
    assert (row.messages, row.received, row.sent, row.errors) == (10, 1000, 0, 1.5)
    assert row.new_errors == {"too_long": 6}


def test_there_is_no_rate_without_an_earlier_sample_or_after_a_new_start() -> None:
    assert frame(None, sample(10, ECHO)).endpoints[0].messages is None
    fresh = replace(ECHO, messages_total=3, errors={})
    (row,) = frame(sample(10, ECHO), sample(11, fresh)).endpoints
    assert (row.messages, row.new_errors) == (None, {})
    (row,) = frame(sample(10), sample(11, ECHO)).endpoints
    assert (row.messages, row.new_errors) == (None, {})


def test_queues_have_their_limit_their_change_and_the_name_of_the_peer() -> None:
    before = sample(1, sockets=[replace(LINE, queue=2), SERVER])
    line, client, _ = frame(before, sample(2, sockets=[LINE, CLIENT, SERVER])).sockets
    assert line == SocketQueue(1, "/run/docker.sock", "stream", 5, 4, 3)
    assert client == SocketQueue(3, "-> /run/docker.sock", "stream", 70, None, None)


def test_rows_are_sorted_by_load_by_trouble_or_by_name() -> None:
    rows = [ECHO, replace(ECHO, name="a"), replace(ECHO, name="b")]
    later = [
        replace(ECHO, messages_total=200),
        replace(ECHO, name="a", errors={"x": 9}),
        replace(ECHO, name="b", messages_total=101),
    ]
    queues = [replace(LINE, inode=n, name=f"/{n}".encode(), queue=q) for n, q in ((7, 1), (8, 9))]
    before = [replace(queues[0], queue=0), replace(queues[1], queue=9)]
    found = frame(sample(1, *rows, sockets=before), sample(2, *later, sockets=queues))
    orders = {
        sort: (
            [each.name for each in chosen.endpoints],
            [each.name for each in chosen.sockets],
        )
        for sort in ("load", "trouble", "name")
        for chosen in [found.chosen(sort, "", every=False)]
    }
    assert orders == {
        "load": (["stream", "b", "a"], ["/8", "/7"]),
        "trouble": (["a", "b", "stream"], ["/7", "/8"]),
        "name": (["a", "b", "stream"], ["/7", "/8"]),
    }


def test_a_filter_leaves_rows_that_contain_it_and_empty_queues_are_left_out() -> None:
    sockets = [LINE, SERVER, replace(LINE, inode=9, name=b"/run/dbus")]
    found = frame(None, sample(1, ECHO, replace(ECHO, name="other"), sockets=sockets))
    chosen = found.chosen("load", "DOCKER", every=False)
    assert ([each.inode for each in chosen.sockets], chosen.endpoints) == ([1], [])
    assert len(found.chosen("load", "", every=False).sockets) == 2
    assert len(found.chosen("load", "", every=True).sockets) == 3


def test_keys_change_the_view() -> None:
    view = View()
    for key, change in (
        ("s", {"sort": "trouble"}),
        ("s", {"sort": "name"}),
        ("s", {"sort": "load"}),
        ("DOWN", {"first": 1}),
        ("PAGEUP", {"first": 0}),
        ("a", {"every": True}),
        ("/", {"editing": True}),
        ("q", {"filter": "q"}),
        ("x", {"filter": "qx"}),
        ("BACKSPACE", {"filter": "q"}),
        ("\x01", {}),
        ("\n", {"editing": False}),
        ("\x1b", {"filter": ""}),
        ("z", {}),
    ):
        expected = replace(view, **change)
        changed = pressed(view, key)
        assert changed == expected, key
        view = expected
    assert pressed(view, "q") is None


@pytest.mark.parametrize("size", [(24, 80), (10, 40), (5, 20), (2, 5), (60, 200)])
def test_a_frame_fits_in_the_terminal(size: tuple[int, int]) -> None:
    rows = [replace(ECHO, name=f"e{number}", state="failed") for number in range(40)]
    names = ["/run/" + "端" * 60, "/run/" + "x" * 300]
    sockets = [replace(LINE, inode=n, name=names[n % 2].encode()) for n in range(200)]
    found = frame(None, sample(1, *rows, sockets=sockets)).chosen("load", "", every=False)
    shown = texts(found, View(), size)
    assert len(shown) == size[0]
    assert all(width(each) < size[1] for each in shown)
    if size == (24, 80):
        assert sum(each.startswith("e") for each in shown) == 8
        assert sum("/run/" in each for each in shown) == 9
        assert shown[-1].startswith("q quit")


def test_scrolling_ends_at_the_last_socket() -> None:
    sockets = [replace(LINE, inode=n, name=f"/s{n:03}".encode()) for n in range(100)]
    found = frame(None, sample(1, sockets=sockets)).chosen("name", "", every=False)
    shown = texts(found, View(sort="name", first=1000), (24, 80))
    assert any("/s099" in each for each in shown)
    assert not any("/s000" in each for each in shown)


def test_no_name_reaches_the_terminal_unescaped() -> None:
    evil = b"/run/\x1b]0;x\x07\n\x9b31m\xe2\x80\xae"
    rows = [replace(ECHO, name="e\x1b[2J", errors={"r\x1b": 1})]
    found = frame(sample(1, *rows), sample(2, *rows, sockets=[replace(LINE, name=evil)]))
    lines = texts(found.chosen("load", "", every=True), View(filter="\x1b"), (24, 80))
    assert all(each.isprintable() for each in lines)
    assert any(r"/run/\x1b]0;x\x07\n\x9b31m\xe2\x80\xae" in each for each in lines)


def test_a_listener_beyond_its_limit_and_an_endpoint_with_errors_are_marked() -> None:
    later = replace(ECHO, errors={"idle_timeout": 3})
    found = frame(sample(1, ECHO), sample(2, later, sockets=[LINE, replace(LINE, queue=1)]))
    styles = {
        each.text.split()[0]: each.style for each in page.lines(found, View(), {}) if each.text
    }
    assert (styles["stream"], styles["5"], styles["1"]) == ("bad", "bad", "")
    assert "idle_timeout 2" in "\n".join(texts(found))


def test_the_process_is_the_service_and_not_systemd() -> None:
    found = frame(None, sample(1, sockets=[LINE])).chosen("load", "", every=False)
    lines = page.lines(found, View(), {1: [SYSTEMD, DOCKERD]})
    assert "dockerd (812) +1" in lines[-1].text


# ---- the command ---------------------------------------------------------------------------------


@pytest.fixture
def nowhere(sockdir: Path) -> list[str]:
    """Return the options of a daemon that does not run."""
    return ["--control", f"{sockdir}/none", "top", "--interval", "0.2"]


def test_json_has_every_socket_and_says_that_no_daemon_runs(
    nowhere: list[str], sockdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(f"{sockdir}/s")
        server.listen(7)
        client.connect(f"{sockdir}/s")
        assert app.run([*nowhere, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["daemon"], found["endpoints"]) == (None, [])
    assert found["problem"].startswith("localechod is not running: ")
    assert found["interval_seconds"] >= 0.2
    rows = {row["path"]: row for row in found["sockets"]}
    row = rows[f"{sockdir}/s"]
    assert (row["queue"], row["backlog"], row["change"]) == (1, 7, 0)
    assert row["holders"][0]["command"]


def test_once_prints_a_frame(
    nowhere: list[str], sockdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(f"{sockdir}/s")
        server.listen(7)
        client.connect(f"{sockdir}/s")
        assert app.run([*nowhere, "--once"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("localechoctl top, over 0.")
    assert lines[1].startswith("localechod is not running")
    assert [f"{sockdir}/s"] == [line.split()[-1] for line in lines if f"{sockdir}/s" in line]


@pytest.mark.parametrize("option", ["--once", "--json"])
def test_a_closed_pipe_ends_it_quietly(nowhere: list[str], option: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "localechod.ctl", *nowhere, option],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["top"], "top needs a terminal; use --once or --json"),
        (["top", "--once", "--interval", "0.1"], "too short an interval: 0.1 s; at least 0.2 s"),
        (["top", "--interval", "nan"], "'nan' is not a number"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(words) == 2
    assert reason in capsys.readouterr().err.splitlines()[-1]
