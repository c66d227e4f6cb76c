"""Lines for people, fields for the journal, and no way for a peer to forge either."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import localechod
from localechod.errors import UsageError
from localechod.host import logs
from localechod.host.logs import JournalHandler, OneLine, fields, priority, setup, to_journal
from tests.integration.harness import needs_root


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The program's logger, put back afterwards as it was."""
    log = logging.getLogger("localechod")
    before = log.handlers, log.propagate, log.level
    yield log
    log.handlers, log.propagate, log.level = before
    log.setLevel(before[2])  # forgets what isEnabledFor remembered


def record(text: str = "text", level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("localechod.x", level, "/x.py", 12, text, (), None, "f")
    made.__dict__.update(extra)
    return made


def test_plain_records_are_lines_on_standard_error(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    setup("info", "stderr")
    setup("info", "stderr")  # twice: still one line each
    below = logging.getLogger("localechod.echo.reactor")
    below.warning("endpoint %s: %s", "stream", "é\n\x1b[2Jforged", extra={"fields": {"A": 1}})
    below.debug("left out")
    assert caplog.records == [], "a library's handlers on the root logger would print it again"
    assert capsys.readouterr().err == "WARNING: endpoint stream: é\\n\\x1b[2Jforged\n"


def test_a_fault_of_our_own_keeps_its_traceback(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    setup("error", "stderr")
    try:
        raise RuntimeError("inside")  # noqa: TRY301 - it is the traceback that counts
    except RuntimeError:
        logger.exception("bug")
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["ERROR: bug", "Traceback (most recent call last):"]
    assert lines[-1] == "RuntimeError: inside"


def test_every_level_offered_is_accepted_and_others_are_not(logger: logging.Logger) -> None:
    for level in logs.LEVELS:
        setup(level, "stderr")
        assert logging.getLevelName(logger.level) == level.upper()
    with pytest.raises(UsageError, match=r'^unknown log level "loud"; one of debug, info, warn'):
        setup("loud", "stderr")


def test_a_records_fields_arrive_as_fields() -> None:
    sent: list[tuple[str, dict[str, Any]]] = []
    handler = JournalHandler(lambda text, **more: sent.append((text, more)))
    handler.setFormatter(OneLine("%(message)s"))
    own = {"ENDPOINT": "stream", "peer_pid": 12, "MESSAGE_ID": "0" * 32}
    handler.handle(record("refused\nagain", logging.WARNING, fields=own))
    assert sent == [
        (
            "refused\\nagain",
            {
                "ENDPOINT": "stream",
                "PEER_PID": "12",
                "MESSAGE_ID": "0" * 32,
                "PRIORITY": "4",
                "SYSLOG_IDENTIFIER": "localechod",
                "CODE_FILE": "/x.py",
                "CODE_LINE": 12,
                "CODE_FUNC": "f",
            },
        )
    ]


def test_a_record_without_fields_has_the_common_ones() -> None:
    common = {"PRIORITY", "SYSLOG_IDENTIFIER", "CODE_FILE", "CODE_LINE", "CODE_FUNC"}
    assert fields(record()).keys() == common


def test_no_field_passes_for_priority_or_identifier() -> None:
    made = fields(record(fields={"PRIORITY": 0, "syslog_identifier": "kernel"}))
    assert (made["PRIORITY"], made["SYSLOG_IDENTIFIER"]) == ("6", "localechod")


@pytest.mark.parametrize(
    ("level", "number"),
    [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)],
)
def test_levels_are_syslog_priorities(level: str, number: int) -> None:
    assert priority(getattr(logging, level.upper())) == number


def test_a_journal_that_fails_is_told_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(_text: str, **_fields: object) -> None:
        raise OSError(22, "Invalid argument")

    JournalHandler(broken).handle(record())
    assert "Invalid argument" in capsys.readouterr().err


def test_standard_error_is_the_journal_only_if_device_and_inode_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    status = os.fstat(2)
    ours = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    assert to_journal(ours)
    assert not to_journal({})
    assert not to_journal({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
    monkeypatch.setitem(sys.modules, "systemd.journal", None)
    assert not to_journal(ours)


def test_without_standard_error_there_is_no_journal_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = os.fstat

    def closed(descriptor: int) -> os.stat_result:
        if descriptor == 2:
            raise OSError(9, "Bad file descriptor")
        return real(descriptor)

    monkeypatch.setattr(os, "fstat", closed)
    assert not to_journal({"JOURNAL_STREAM": "1:2"})


JOURNALD = """
import logging, socket
from localechod.host.logs import setup
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
    journald.bind("/run/systemd/journal/socket")
    setup("info", "journal")
    logging.getLogger("localechod.x").warning(
        "told", extra={"fields": {"ENDPOINT": "a\\nPRIORITY=0", "PEER_PID": 12}})
    print(journald.recv(4096))
"""


@needs_root
def test_what_journald_receives() -> None:
    """A journal's socket in a mount namespace of its own: this machine's stays as it is."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    enter = ["unshare", "--mount", "sh", "-c"]
    mount = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal"
    if subprocess.run([*enter, mount], capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to a mount namespace here")
    done = subprocess.run(
        [*enter, f'{mount} && exec "$0" -c "$1"', sys.executable, JOURNALD],
        env={**os.environ, "PYTHONPATH": str(Path(localechod.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    received = done.stdout
    assert r"MESSAGE=told\n" in received
    assert r"\nPEER_PID=12\n" in received
    assert r"\nPRIORITY=4\n" in received
    assert r"\nSYSLOG_IDENTIFIER=localechod\n" in received
    # a length, then the value: the newline in it starts no field
    assert r"ENDPOINT\n\x0c\x00\x00\x00\x00\x00\x00\x00a\nPRIORITY=0\n" in received
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("detached", "journal", "syslog", "target"),
    [
        (False, True, True, "stderr"),
        (True, True, True, "journal"),
        (True, False, True, "syslog"),
        (True, False, False, "stderr"),
    ],
)
def test_a_detached_daemon_logs_to_what_there_is(
    sockdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    detached: bool,
    journal: bool,
    syslog: bool,
    target: str,
) -> None:
    for name, there in (("JOURNAL", journal), ("SYSLOG", syslog)):
        monkeypatch.setattr(logs, name, sockdir / name)
        if there:
            (sockdir / name).touch()
    assert logs.destination(detached=detached, environ={}) == target


def test_syslog_gets_one_line_with_the_programs_name(
    logger: logging.Logger, sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "SYSLOG", sockdir / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(sockdir / "log"))
        syslog.settimeout(10)
        setup("info", "syslog")
        logging.getLogger("localechod.test").info("two\nlines")
        text = syslog.recv(1000).decode()
    logger.handlers[0].close()
    assert text.rstrip("\0") == rf"<30>localechod[{os.getpid()}]: two\nlines"
