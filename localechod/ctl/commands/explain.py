"""localechoctl explain: why a client can or cannot connect to a local socket."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from localechod.control.catalog import CatalogEntry
from localechod.ctl import render
from localechod.ctl.completion import endpoint_names
from localechod.ctl.options import Options
from localechod.ctl.patience import within
from localechod.ctl.target import endpoints, find, read_address
from localechod.errors import LocalechodError, UsageError
from localechod.explain import report as answer
from localechod.explain.client import Client, of_process, of_user
from localechod.explain.facts import Question
from localechod.explain.remedy import Remedy
from localechod.explain.report import CAN, CANNOT, LIKELY, UNKNOWN, Report, shown_name
from localechod.localsocket.types import TYPES
from localechod.text import escape

Type = Literal["stream", "datagram", "seqpacket"]

_COLOURS = {"ok": "green", "problem": "red", "unknown": "yellow"}
_RESULT, _NAME = 7, 10  # the longest result, the longest name of a check
_INDENT = 9  # of the verdict and the remedy, whose labels are shorter
_NARROWEST = 60
_PATIENCE = 10.0  # seconds for one socket; systemctl has five of them
_LARGEST_PID = 1 << 22  # proc_sys_kernel(5): pid_max


@dataclass(frozen=True, slots=True)
class _Socket:
    """A socket to explain.

    Attributes:
        address: as in sun_path: a path, or a NUL and an abstract name.
        type: "stream", "datagram", "seqpacket", or "" for any.
        name: the endpoint's, escaped, or "".
        is_control: it is the daemon's control socket.
    """

    address: bytes
    type: str = ""
    name: str = ""
    is_control: bool = False


def explain(  # noqa: PLR0913, PLR0917 - typer makes an option of each
    ctx: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH or NAME]",
            help="A path, @NAME, or an endpoint's name; by default all that do not listen.",
            autocompletion=endpoint_names,
            show_default=False,
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="USER",
            help="Check for a new login of this user; UID[:GID,...] needs no account.",
        ),
    ] = None,
    pid: Annotated[
        int | None,
        typer.Option(metavar="PID", help="Check from this process's namespaces, with its rights."),
    ] = None,
    kind: Annotated[
        Type | None,
        typer.Option("--type", help="The client's socket type; by default the socket's own."),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Connect as well; without it, nothing is changed.")
    ] = False,
    filters: Annotated[
        bool,
        typer.Option(
            "--filters", help="Read the process's seccomp filters, which stops it for a moment."
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show why a client can or cannot connect to any local socket.

    Each line is one check, in the order of the kernel's own; then come the verdict and a remedy.
    Without a target, it checks the control socket and every endpoint, also with the daemon down.
    It then shows the control socket, and those endpoints that do not accept a connect.

    Exit status: 0 a client can connect; 1 it cannot; 5 unknown, as a check could not be made;
    6 it should be able to, unless a rule forbids it that could not be read.

    Examples:
        localechoctl explain /run/docker.sock --as bob
        localechoctl explain /run/app/app.sock --pid 4242 --probe
        localechoctl explain
    """
    if filters and pid is None:
        raise UsageError("--filters: no process is given", "use it with --pid")
    asked = TYPES[kind] if kind else None
    sockets = _all(ctx.obj) if target is None else [_named(target, ctx.obj)]

    def answers() -> Iterator[Report]:
        client = _client(user, pid)
        for each in sockets:
            yield answer.explain(_question(each, asked, client, pid, filters), probing=probe)

    reports = list(zip(sockets, _answered(answers), strict=True))
    if target is None:
        # The control socket is always shown, because every other command depends on it.
        reports = [each for each in reports if each[1].exit_status != CAN or each[0].is_control]
    if json:
        documents = [as_json(report) for _, report in reports]
        render.emit_json(documents if target is None else documents[0])
    else:
        render.emit("\n\n".join(as_text(report, each.name) for each, report in reports))
    statuses = {report.exit_status for _, report in reports}
    raise typer.Exit(next((each for each in (CANNOT, UNKNOWN, LIKELY) if each in statuses), CAN))


def _answered(answers: Callable[[], Iterator[Report]]) -> Iterator[Report]:
    """Yield the answers.

    Raises:
        LocalechodError: a file system does not answer.
    """
    try:
        yield from within(_PATIENCE, answers)
    except TimeoutError:
        stuck = LocalechodError(
            f"explain failed: a file system has not answered in {_PATIENCE:g} s",
            "it is on the path, or of a process that listens under this name: localechoctl "
            "sockets PATTERN names these",
        )
        stuck.exit_status = UNKNOWN
        raise stuck from None


def as_json(report: Report) -> dict[str, Any]:
    """Return a report in the documented form."""
    return {
        "path": shown_name(report.question),
        "as": report.question.client.name,
        "type": report.type,
        "errno": None if (report.verdict.number or 0) < 0 else report.verdict.number,
        "verdict": report.verdict.text,
        "served": report.served,
        "remedy": report.verdict.remedy.text or None,
        "commands": list(report.verdict.remedy.commands),
        "caveats": [*report.verdict.reservations, *report.verdict.remedy.caveats],
        "checks": [
            {"name": check.name, "result": check.result, "detail": check.detail}
            for check in report.checks
        ],
        "holders": [
            {
                "pid": holder.pid,
                "user": holder.user,
                "command": holder.command or None,
                "unit": holder.unit or None,
            }
            for holder in report.holders
        ],
    }


def as_text(report: Report, name: str = "") -> str:
    """Return a report as text."""
    question = report.question
    who = f"as {question.client.called}"
    where = f", seen from process {question.pid}" if question.pid is not None else ""
    heading = f"{shown_name(question)} ({who}{where})"
    lines = [f"{name}: {heading}" if name else heading, ""]
    for check in report.checks:
        result = render.colour(check.result, _COLOURS[check.result])
        result += " " * (_RESULT - len(check.result))
        first, *rest = _wrapped(check.detail, _RESULT + _NAME + 4)
        lines += [f"{result}  {check.name:<{_NAME}}  {first}", *rest]
    lines += ["", *_labelled("verdict", report.verdict.text)]
    lines += _remedy(report.verdict.remedy)
    return "\n".join(lines)


def _remedy(remedy: Remedy, label: str = "remedy") -> list[str]:
    """Show each step, below it its command, which is never broken, and what to know before."""
    lines = _labelled(label, remedy.reason) if remedy.reason else []
    many = len(remedy.actions) > 1
    for number, action in enumerate(remedy.actions, 1):
        lines += _labelled(label if number == 1 else "", action.text, f"{number}. " if many else "")
        lines += [" " * (_INDENT + 3 * many) + action.command] if action.command else []
    if remedy.alternative is not None:
        lines += _remedy(remedy.alternative, "or")
    for caveat in remedy.caveats:
        lines += _labelled("caveat", caveat)
    return lines


def _labelled(label: str, text: str, number: str = "") -> list[str]:
    first, *rest = _wrapped(text, _INDENT + len(number))
    front = f"{label}:" if label else ""
    return [f"{front:<{_INDENT}}{number}{first}", *rest]


def _wrapped(text: str, indent: int) -> list[str]:
    """Break a text for the terminal; in a pipe, for programs, it stays one line."""
    columns = shutil.get_terminal_size((0, 0)).columns if _has_columns() else 0
    if columns < _NARROWEST:
        return [text]
    lines = textwrap.wrap(text, columns - indent, break_long_words=False, break_on_hyphens=False)
    return [lines[0], *(" " * indent + line for line in lines[1:])]


def _has_columns() -> bool:
    return sys.stdout.isatty() or "COLUMNS" in os.environ


def _client(user: str | None, pid: int | None) -> Client:
    if pid is not None and not 0 < pid <= _LARGEST_PID:
        raise UsageError(f"--pid {pid}: not a process id", "see ps -e")
    if user is None:
        return of_process(pid or os.getpid())
    return of_user(user, pid)


def _named(text: str, options: Options) -> _Socket:
    entry = find(text, options, configured=True)
    return _Socket(read_address(text)) if entry is None else _of_endpoint(entry)


def _all(options: Options) -> list[_Socket]:
    """Return the control socket and every endpoint; report a broken configuration."""
    options.announce()
    control = _Socket(_raw(options.control_path()), "stream", "control socket", is_control=True)
    try:
        return [control, *map(_of_endpoint, endpoints(options, configured=True).values())]
    except LocalechodError as error:
        sys.stderr.write(f"{error}\n")
        return [control]


def _of_endpoint(entry: CatalogEntry) -> _Socket:
    return _Socket(_raw(entry.path), entry.type, escape(entry.name))


def _raw(written: str) -> bytes:
    """Return a name of the configuration or the catalog as in sun_path."""
    name = os.fsencode(written)
    return b"\0" + name[1:] if written.startswith("@") else name


def _question(
    asked: _Socket, kind: int | None, client: Client, pid: int | None, filters: bool
) -> Question:
    type_ = kind or TYPES.get(asked.type)
    return Question(asked.address, type_, client, pid, filters)
