"""Every line that a peer can cause comes from one place, those of the libraries too."""

import ast
import logging
from typing import Any

import pytest

from localechod.control.caller import CREDENTIALS
from localechod.control.library_log import LibraryLog
from localechod.echo.endpoint_log import EndpointLog
from localechod.echo.events import EventBus
from localechod.echo.peer_log import PeerLog, Topic
from localechod.localsocket.peer import Credentials
from tests.unit.test_imports import ROOT

# Modules of the data plane and of the control plane that log by themselves, and what: nothing of it
# can be caused by a peer.
OTHERS = {
    "echo/endpoint_log.py",  # states that an administrator or the machine has caused
    "echo/monitor.py",  # files are not watched any more, once
    "echo/persist/crash_keep.py",  # a setting that does not fit, at start and reload
    "echo/reload.py",  # a setting that does not apply
    "echo/supervisor.py",  # no inotify, at start
    "control/service.py",  # a reload that an administrator has asked for
}


def logs(path: str) -> bool:
    nodes = ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    return any(isinstance(node, ast.Attribute) and node.attr == "getLogger" for node in nodes)


def test_no_other_module_logs_what_a_peer_can_cause() -> None:
    paths = [
        path.relative_to(ROOT).as_posix()
        for plane in ("echo", "control")
        for path in (ROOT / plane).rglob("*.py")
    ]
    found = {path for path in paths if logs(path)}
    assert found - {"echo/peer_log.py", "control/library_log.py"} == OTHERS


@pytest.mark.parametrize("library", ["grpclib.server", "asyncio", "hpack.table", "h2"])
def test_lines_of_libraries_are_limited_too(library: str, caplog: pytest.LogCaptureFixture) -> None:
    peer_log = PeerLog()
    handler = LibraryLog(peer_log)
    caller = Credentials(1, 4711, 1, frozenset({1}))
    handler.attach()
    token = CREDENTIALS.set(caller)
    try:
        for number in range(1000):
            logging.getLogger(library).error("number %d", number)
    finally:
        CREDENTIALS.reset(token)
        handler.detach()
    assert [record.message for record in caplog.records] == [f"{library}: number 0"]
    assert peer_log.left_out == 999
    logging.getLogger(library).error("afterwards")
    assert caplog.records[-1].name == library


def test_messages_beyond_the_limit_are_counted_in_one_step(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    peer_log = PeerLog()
    written, write = [], peer_log.write

    def count(*arguments: Any) -> str | None:
        written.append(1)
        return write(*arguments)

    monkeypatch.setattr(peer_log, "write", count)
    log = EndpointLog("echo", EventBus(), peer_log)
    log.received([b"%d" % number for number in range(30_000)], 5)
    assert [record.message for record in caplog.records] == [f"Receive: {n}" for n in range(5)]
    assert peer_log.left_out == 30_000 - 5
    assert len(written) == 6


def test_a_line_that_is_left_out_is_not_even_made(caplog: pytest.LogCaptureFixture) -> None:
    made = []

    def text() -> str:
        made.append(1)
        return "a text"

    peer_log = PeerLog()
    said = [peer_log.write(Topic(name="a", prefix="x: "), 5, text) for _ in range(100)]
    assert said == ["a text"] + [None] * 99
    assert len(made) == 1
    assert caplog.messages == ["x: a text"]
