"""localechoctl: the global options, the list of commands, and the output of errors."""

import os
import sys
from typing import Annotated

import typer

from localechod import __version__
from localechod.ctl.group import CommandSpec, LazyGroup, prepare
from localechod.ctl.options import Options
from localechod.ctl.values import HELP
from localechod.errors import LocalechodError
from localechod.text import escape

PROGRAM = "localechoctl"

COMMANDS = {
    "status": CommandSpec("status", "status", "Show the daemon and its endpoints."),
    "send": CommandSpec("send", "send", "Send messages and print the replies."),
    "start": CommandSpec("lifecycle", "start", "Bind endpoints and listen on them."),
    "stop": CommandSpec("lifecycle", "stop", "Close endpoints and their connections."),
    "restart": CommandSpec("lifecycle", "restart", "Stop endpoints and start them again."),
    "reload": CommandSpec("reload", "reload", "Read the configuration again."),
    "peers": CommandSpec("peers", "peers", "Show the connected peers."),
    "events": CommandSpec("events", "events", "Show past and new events."),
    "wait": CommandSpec("wait", "wait", "Wait until endpoints listen."),
    "metrics": CommandSpec("metrics", "metrics", "Print counters as OpenMetrics text."),
    "tap": CommandSpec("tap", "tap", "Show what a command says to a local socket."),
    "sockets": CommandSpec("sockets", "sockets", "List the local sockets of this host."),
    "top": CommandSpec("top", "top", "Show rates and queues as they change."),
    "explain": CommandSpec("explain", "explain", "Explain why a connect works or fails."),
    "config": CommandSpec("config", "app", "Show, check or print a configuration."),
    "lab": CommandSpec("lab", "lab", "Put the tutorial's claims to the test, live."),
    "bench": CommandSpec("bench", "bench", "Measure an echo server, or compare transports."),
    "version": CommandSpec("version", "version", "Show the versions of client and daemon."),
}

app = typer.Typer(
    cls=LazyGroup,
    # Plain text instead of boxes is the same in a terminal, a pipe and a manual, and needs no rich.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": list(HELP)},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"{PROGRAM} {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    control: Annotated[
        str | None,
        typer.Option(
            envvar="LOCALECHOD_CONTROL",
            metavar="PATH",
            help="The daemon's control socket, if it is not in the default directory.",
            show_default=False,
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show this program's version."
        ),
    ] = False,
) -> None:
    """Send to local sockets and inspect them; control localechod, the echo daemon.

    Examples:
        localechoctl status
        localechoctl send stream hello
        localechoctl send /run/other/server.sock hello

    Exit status: 0 done; 1 failed; 2 wrong usage; 3 the daemon is needed and not running;
    4 not permitted; 5 and 6 explain cannot tell for certain; 7 nothing listens there;
    78 bad configuration.
    """
    ctx.obj = Options(control=control or None)


def build() -> LazyGroup:
    """Return the whole command line; no command's module is imported yet."""
    group = prepare(typer.main.get_command(app))
    if not isinstance(group, LazyGroup):
        raise AssertionError(group)  # noqa: TRY004 - cannot occur: an application with a callback is one
    group.add_lazy_commands(COMMANDS)
    return group


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status; errors are one line on standard error."""
    try:
        status = _run(arguments)
        # Flushed here: at the interpreter's end a failure would print a traceback.
        sys.stdout.flush()
    except OSError as error:
        _abandon_output()
        # A closed pipe is not reported: `| head` has read enough.
        return 1 if isinstance(error, BrokenPipeError) else _fail(_reason(error), 1)
    return status


def _run(arguments: list[str]) -> int:
    try:
        status = build().main(arguments, prog_name=PROGRAM)
    except SystemExit as leaving:
        status = leaving.code
    except KeyboardInterrupt:
        return 130
    except LocalechodError as error:
        return _fail(str(error), error.exit_status)
    return status if isinstance(status, int) else 0


def _abandon_output() -> None:
    """Write the output that can be written; discard the rest, or the interpreter tries again."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _reason(error: OSError) -> str:
    """Return the text for an error of the machine: a full disk, or no descriptors left."""
    where = f": {escape(str(error.filename))}" if error.filename else ""
    return f"failed: {error.strerror} ({error.errno}){where}"


def _fail(text: str, status: int) -> int:
    sys.stderr.write(text + "\n")
    return status
