"""localechoctl peers: the connected peers, with data of the kernel and the user database."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localechod.accounts import user_name
from localechod.ctl import app
from localechod.echo.status import PeerRow
from localechod.localsocket.peer import command
from tests.unit.control_fakes import Live, live

Run = Callable[..., int]

# 2**22 is above every pid (pid_max), and no account has this uid.
GONE, STRANGER = 2**22 + 1, 4_000_000_000


def peer(endpoint: str, pid: int, uid: int) -> PeerRow:
    return PeerRow(
        endpoint=endpoint,
        pid=pid,
        uid=uid,
        connected_seconds=65.5,
        messages=7,
        received_bytes=70,
        sent_bytes=98,
    )


@pytest.fixture
def daemon(sockdir: Path) -> Iterator[Live]:
    with live(sockdir / "control.sock") as running:
        running.supervisor.connected = [
            peer("stream", os.getpid(), 0),
            peer("datagram", GONE, STRANGER),
        ]
        yield running


@pytest.fixture
def peers(daemon: Live) -> Run:
    return lambda *words: app.run(["--control", str(daemon.path), "peers", *words])


def test_json_names_process_and_user_and_null_where_unknown(
    peers: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert peers("--json") == 0
    ours, gone = json.loads(capsys.readouterr().out)
    assert ours == {
        "endpoint": "stream",
        "pid": os.getpid(),
        "uid": 0,
        "user": user_name(0),
        "command": command(os.getpid()),
        "connected_seconds": 65.5,
        "messages": 7,
        "received_bytes": 70,
        "sent_bytes": 98,
    }
    assert (gone["user"], gone["command"]) == (str(STRANGER), None)


def test_a_reader_gets_a_table(peers: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert peers() == 0
    header, ours, gone = capsys.readouterr().out.splitlines()
    assert header.split() == [
        *("ENDPOINT", "PID", "USER", "COMMAND", "CONNECTED", "MESSAGES", "IN", "OUT")
    ]
    assert ours.split()[:2] == ["stream", str(os.getpid())]
    assert "1 min 5 s" in ours
    assert "unknown" in gone


def test_one_endpoint_can_be_asked_for(peers: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert peers("datagram", "--json") == 0
    assert [row["endpoint"] for row in json.loads(capsys.readouterr().out)] == ["datagram"]
    assert peers("x") == 2


def test_without_peers_there_is_a_sentence_or_an_empty_list(
    daemon: Live, peers: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.supervisor.connected = []
    assert peers() == 0
    assert capsys.readouterr().out == "no peers are connected\n"
    assert peers("--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_pid_of_another_namespace_is_not_taken_for_a_process_of_ours(
    peers: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The daemon, in this process too, still reports its own.
    monkeypatch.setattr("localechod.ctl.commands.peers.pid_namespace", lambda: 1)
    assert peers("stream", "--json") == 0
    (ours,) = json.loads(capsys.readouterr().out)
    assert (ours["pid"], ours["command"]) == (os.getpid(), None)
