"""The destination of log records: lines on standard error, syslog, or the journal with fields.

Records may carry ``extra={"fields": {"ENDPOINT": "stream", "PEER_PID": 12}}``: the journal keeps
them as fields (``journalctl ENDPOINT=stream``), plain lines leave them out.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from localechod.errors import UsageError
from localechod.host.journal import Journal
from localechod.text import printable

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
LEVELS = tuple(_LEVELS)

JOURNAL = Path("/run/systemd/journal/socket")
SYSLOG = Path("/dev/log")


def setup(level: str, target: str) -> None:
    """Send the records of the logger "localechod" and those below it to one destination.

    Args:
        level: one of LEVELS, the least important that is logged.
        target: the result of :func:`destination`.

    Raises:
        UsageError: there is no such level.
    """
    if level not in _LEVELS:
        raise UsageError(f'unknown log level "{printable(level)}"', f"one of {', '.join(LEVELS)}")
    handler = _handler(target)
    logger = logging.getLogger("localechod")
    logger.handlers = [handler]  # replaced, not added to: setup may be called again
    logger.propagate = False
    logger.setLevel(_LEVELS[level])


def destination(*, detached: bool, environ: Mapping[str, str] = os.environ) -> str:
    """Return where log lines go: "journal", "syslog" or "stderr".

    The journal, with fields, where standard error goes there anyway (see :func:`to_journal`). The
    standard error of a detached daemon is /dev/null: it uses the journal or syslog, if they exist.
    """
    if to_journal(environ) or (detached and JOURNAL.exists() and _importable()):
        return "journal"
    return "syslog" if detached and SYSLOG.exists() else "stderr"


def to_journal(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether standard error goes to the journal, so that fields arrive there.

    JOURNAL_STREAM alone is no proof: a process with a redirected standard error has inherited the
    variable too. So device and inode are compared, as systemd.exec(5) says. Without systemd-python
    the answer is no: plain lines reach the journal all the same.
    """
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}" and _importable()


def _importable() -> bool:
    try:
        import systemd.journal  # noqa: F401, PLC0415 - optional; asked for, not used
    except ImportError:
        return False
    return True


def _handler(target: str) -> logging.Handler:
    if target == "journal":
        from systemd.journal import send  # noqa: PLC0415 - optional: destination() knows

        handler: logging.Handler = JournalHandler(Journal(JOURNAL, send))
        handler.setFormatter(OneLine("%(message)s"))
    elif target == "syslog":
        # Here: the module imports pickle and queue, which the journal does not need.
        from logging.handlers import SysLogHandler  # noqa: PLC0415

        facility = SysLogHandler.LOG_DAEMON
        handler = SysLogHandler(str(SYSLOG), facility)
        handler.setFormatter(OneLine("localechod[%(process)d]: %(message)s"))
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(OneLine("%(levelname)s: %(message)s"))
    return handler


class OneLine(logging.Formatter):
    """One line per record: a peer's name with a newline in it cannot write a second one.

    A traceback stays below as it is; only a defect of the program has one.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line, escaped."""
        return printable(super().formatMessage(record))


class JournalHandler(logging.Handler):
    """Sends records with their fields.

    systemd-python has a handler too. It sends every attribute of the record as a field, those of
    the logging package included, and takes our fields only one by one.

    Args:
        send: a Journal, or a replacement in a test.
    """

    def __init__(self, send: Callable[..., object]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; an error is reported as the logging package reports it."""
        try:
            self._send(self.format(record), **fields(record))
        except Exception:  # noqa: BLE001 - the contract of logging.Handler.emit
            self.handleError(record)


def fields(record: logging.LogRecord) -> dict[str, str | int]:
    """Return the journal's fields (systemd.journal-fields(7)) of a record, without its MESSAGE.

    Values go to the journal with their length, so that a newline in one cannot start another.
    """
    own = getattr(record, "fields", {})
    return {
        **{name.upper(): str(value) for name, value in own.items()},
        # Last, so that no field of a record replaces these.
        "PRIORITY": str(priority(record.levelno)),
        "SYSLOG_IDENTIFIER": "localechod",
        "CODE_FILE": record.pathname,
        "CODE_LINE": record.lineno,  # systemd-python wants this one as a number
        "CODE_FUNC": record.funcName or "",
    }


def priority(level: int) -> int:
    """Return the syslog(3) priority of a level of the logging package."""
    for least, number in (
        (logging.CRITICAL, 2),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
    ):
        if level >= least:
            return number
    return 7
