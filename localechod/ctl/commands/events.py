"""localechoctl events and wait: what happens, and waiting until it has happened."""

import asyncio
import errno
import json as json_format
import sys
from collections import deque
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from localechod.ctl import render
from localechod.ctl.completion import endpoint_names
from localechod.ctl.options import Options
from localechod.ctl.session import Backoff, ask
from localechod.errors import DaemonNotRunningError, LocalechodError, SocketError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localechod.control.events import ControlClient
    from localechod.control.messages import Notice, StatusReport

    Show = Callable[[Notice], None]

# As many as the daemon remembers.
RECENT = 256
# A control socket is bound closed and then opened. Whoever comes in between is refused, and has
# reason to try again; whoever is refused for longer has none.
REFUSALS = 3

_COLOURS = {"refused": "yellow", "error": "red"}


def events(
    ctx: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show what has happened: changes of state, refused peers, errors, reloads.

    With --follow also what happens from now on, over restarts of the daemon. Who is no
    administrator does not see what concerns other users.

    Examples:
        localechoctl events
        localechoctl events --follow --json
    """
    show = _show_json if json else _show_text
    if follow:
        asyncio.run(_follow(ctx.obj, show))
    else:
        ask(ctx.obj, lambda client: _past(client, show))


def wait(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Endpoints; without one, all that are not stopped.",
            show_default=False,
            autocompletion=endpoint_names,
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long at most.")] = 30.0,
) -> None:
    """Return when endpoints listen; the daemon need not run yet.

    Exit status 1 if they do not in time, with the state of those that are missing.

    Example:
        localechoctl wait stream --timeout 10 && localechoctl send stream hello
    """
    if timeout <= 0:
        raise UsageError(
            f"--timeout {timeout:g} leaves no time to wait", "give more than 0 seconds"
        )
    ctx.obj.tell()
    asyncio.run(_Wait(ctx.obj, list(names or ())).run(timeout))


async def _past(client: "ControlClient", show: "Show") -> None:
    async with client.events(follow=False, recent=RECENT) as notices:
        async for notice in notices:
            show(notice)


async def _follow(options: Options, show: "Show") -> None:
    """Show events for ever, and connect again whenever the daemon goes.

    A daemon that has not been restarted tells its past again; what was shown is not shown twice.
    """
    from localechod.control.connect import ConnectionLostError  # noqa: PLC0415 - see session.ask
    from localechod.control.events import ControlClient  # noqa: PLC0415 - see session.ask

    options.tell()
    # Once: while his own daemon is down, nobody wants to follow the system's instead.
    path = options.control_path()
    shown: deque[object] = deque(maxlen=RECENT)
    backoff = Backoff()
    connected = told = False
    while True:
        try:
            async with (
                ControlClient(path) as client,
                client.events(follow=True, recent=RECENT) as notices,
            ):
                connected, told = True, False
                backoff.reset()
                async for notice in notices:
                    if notice.event not in shown:
                        shown.append(notice.event)
                        show(notice)
        except (DaemonNotRunningError, ConnectionLostError):
            if not connected:
                raise
        if not told:
            told = True
            sys.stderr.write("connection lost, waiting for localechod\n")
        await backoff.wait()


class _Wait:
    """Waits for endpoints, and knows at any time what is still missing."""

    def __init__(self, options: Options, names: "Sequence[str]") -> None:
        self._options = options
        self._names = names
        self._missing = "localechod has not answered"

    async def run(self, seconds: float) -> None:
        """Return when they listen.

        Raises:
            LocalechodError: they do not within `seconds`, or there is no such endpoint.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._persist()
        except TimeoutError:
            raise LocalechodError(f"wait timed out after {seconds:g} s: {self._missing}") from None

    async def _persist(self) -> None:
        from localechod.control.connect import ConnectionLostError  # noqa: PLC0415 - see session.ask
        from localechod.control.events import ControlClient  # noqa: PLC0415 - see session.ask

        backoff = Backoff()
        refusals = 0
        while True:
            try:
                async with ControlClient(self._options.control_path()) as client:
                    if await self._watch(client):
                        return
            except (DaemonNotRunningError, ConnectionLostError) as error:
                self._missing = str(error)
            except SocketError as error:
                refusals += 1
                if error.errno != errno.EACCES or refusals > REFUSALS:
                    raise
            await backoff.wait()

    async def _watch(self, client: "ControlClient") -> bool:
        """Return True once all listen, False if the daemon ends first.

        Subscribed first and asked then: what happens in between is told.
        """
        async with client.events(follow=True, recent=0) as notices:
            if self._complete(await client.status(self._names)):
                return True
            async for notice in notices:
                changed = notice.event.kind in {"state", "reload"}
                if changed and self._complete(await client.status(self._names)):
                    return True
        return False

    def _complete(self, report: "StatusReport") -> bool:
        """Decide, and note what is missing.

        Without names, stopped endpoints are not waited for: they are disabled, or somebody
        stopped them. But one must listen, or a daemon that has only just begun would do.
        """
        missing = report.silent()
        if not self._names and len(missing) < len(report.endpoints):
            missing = {name: state for name, state in missing.items() if state != "stopped"}
        self._missing = ", ".join(f"{name} is {state}" for name, state in missing.items())
        self._missing = self._missing or "no endpoints are configured"
        return bool(report.endpoints) and not missing


def _show_text(notice: "Notice") -> None:
    event = notice.event
    if notice.dropped:
        render.emit(f"({notice.dropped} events were lost here: they came too fast)")
    moment = datetime.fromtimestamp(event.time, UTC).astimezone().isoformat(" ", "seconds")
    kind = f"{event.kind:8}"
    kind = render.colour(kind, _COLOURS[event.kind]) if event.kind in _COLOURS else kind
    render.emit(f"{moment}  {kind}  {event.endpoint or '-'}  {event.text}")
    sys.stdout.flush()


def _show_json(notice: "Notice") -> None:
    value = asdict(notice.event) | {"dropped": notice.dropped}
    render.emit(json_format.dumps(value))
    sys.stdout.flush()
