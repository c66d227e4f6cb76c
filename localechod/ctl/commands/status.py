"""localechoctl status: the daemon and a row for each endpoint."""

import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from localechod.ctl import render
from localechod.ctl.completion import endpoint_names
from localechod.ctl.session import client
from localechod.errors import DaemonNotRunningError

if TYPE_CHECKING:
    from localechod.control.messages import DaemonInfo, EndpointStatus, StatusReport

_COLOURS = {"listening": "green", "failed": "red", "degraded": "yellow", "starting": "yellow"}
_HEADERS = ("NAME", "TYPE", "STATE", "CONNECTIONS", "MESSAGES", "ERRORS")
_INDENT = "    "
_WIDTH = 80


def status(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Endpoints to show; by default all.",
            show_default=False,
            autocompletion=endpoint_names,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the daemon and its endpoints.

    The exit status is 1 if a named endpoint does not listen, and 3 if the daemon does not run.

    Examples:
        localechoctl status
        localechoctl status stream && echo it listens
        localechoctl status --json | jq '.endpoints[].state'
    """
    wanted = list(names or ())
    try:
        report = client(ctx.obj).status(wanted)
    except DaemonNotRunningError as error:
        hint = f"{error.hint}; localechoctl explain checks its sockets"
        raise DaemonNotRunningError(error.text, hint) from None
    if json:
        render.emit_json(as_json(report))
    else:
        render.emit(as_text(report))
    if wanted and report.not_listening():
        raise typer.Exit(1)


def as_json(report: "StatusReport") -> dict[str, Any]:
    """Return the report in the documented form; the manual lists its fields as well."""
    daemon = (
        *("version", "pid", "user", "uid", "uptime_seconds", "config", "runtime_dir"),
        *("restart_needed", "log_lines_left_out_total"),
    )
    endpoint = (
        *("name", "type", "state", "path", "mode", "owner", "group", "framing", "connections"),
        *("accepted_total", "messages_total", "received_bytes_total", "sent_bytes_total"),
        *("errors", "error", "restarts_total", "faults", "faults_total"),
    )
    return {
        "daemon": {name: getattr(report.daemon, name) for name in daemon},
        "control": {"connections": report.control.connections, "errors": report.control.errors},
        "endpoints": [{name: getattr(row, name) for name in endpoint} for row in report.endpoints],
    }


def as_text(report: "StatusReport") -> str:
    """Return the report as text: the daemon, then a row and some lines for each endpoint."""
    lines = _daemon(report.daemon)
    if report.control.errors:
        lines += _wrapped(f"control socket: errors: {_counts(report.control.errors)}", "")
    if not report.endpoints:
        return "\n".join([*lines, "", "no endpoints are configured"])
    rows = [_row(endpoint) for endpoint in report.endpoints]
    headers, *table = render.table(_HEADERS, rows).splitlines()
    lines += ["", headers]
    for endpoint, line in zip(report.endpoints, table, strict=True):
        lines += [line, *_details(endpoint)]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return a duration in its two largest units, such as "3 min 12 s"."""
    parts: list[str] = []
    left = int(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _daemon(info: "DaemonInfo") -> list[str]:
    user = f"user {info.user} (uid {info.uid})"
    up = f"up {duration(info.uptime_seconds)}"
    lines = [
        f"localechod {info.version}, pid {info.pid}, {user}, {up}",
        f"configuration: {info.config or 'built in'}",
        f"runtime directory: {info.runtime_dir}",
    ]
    if info.restart_needed:
        keys = ", ".join(info.restart_needed)
        lines += _wrapped(render.colour(f"restart needed for {keys}", "yellow"), "")
    if info.log_lines_left_out_total:
        lines.append(f"left out of the log: {info.log_lines_left_out_total} lines about peers")
    return lines


def _row(endpoint: "EndpointStatus") -> list[str]:
    state = endpoint.state
    return [
        endpoint.name,
        endpoint.type,
        render.colour(state, _COLOURS[state]) if state in _COLOURS else state,
        str(endpoint.connections),
        str(endpoint.messages_total),
        str(sum(endpoint.errors.values())),
    ]


def _details(endpoint: "EndpointStatus") -> list[str]:
    owner = f"{endpoint.owner}:{endpoint.group} {endpoint.mode}" if endpoint.mode else "abstract"
    lines = [f"{_INDENT}{endpoint.path}  {owner}"]
    if endpoint.faults:
        settings = ", ".join(f"{key} = {value:.15g}" for key, value in endpoint.faults.items())
        lines += _wrapped(f"faults: {settings}", _INDENT)
    if endpoint.faults_total:
        lines += _wrapped(f"faults done: {_counts(endpoint.faults_total)}", _INDENT)
    if endpoint.errors:
        lines += _wrapped(f"errors: {_counts(endpoint.errors)}", _INDENT)
    if endpoint.error:
        lines += _wrapped(endpoint.error, _INDENT)
    if endpoint.hint:
        lines += _wrapped(f"hint: {endpoint.hint}", _INDENT)
    return lines


def _counts(errors: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in errors.items())


def _wrapped(text: str, indent: str) -> list[str]:
    """Break a line at spaces; a path is never broken, so that it can be copied."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
