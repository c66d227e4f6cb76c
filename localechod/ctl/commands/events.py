"""localechoctl events: past events, and new ones as they happen."""

import asyncio
import json as json_format
import sys
from collections import deque
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from localechod.ctl import render, session
from localechod.ctl.options import Options
from localechod.errors import DaemonNotRunningError

if TYPE_CHECKING:
    from collections.abc import Callable

    from localechod.control.messages import ReceivedEvent

    Show = Callable[[ReceivedEvent], None]

# As many as the daemon keeps.
RECENT = 256

_COLOURS = {"refused": "yellow", "fault": "yellow", "error": "red"}


def events(
    ctx: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue with new events, until Ctrl-C.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show past events: changes of state, refused peers, errors, reloads.

    With --follow it shows new events as well, also after a restart of the daemon.
    Non-administrators do not see events about other users.

    Examples:
        localechoctl events
        localechoctl events --follow --json
    """
    show = _show_json if json else _show_text
    if not follow:
        for one in session.client(ctx.obj).events(RECENT):
            show(one)
        return
    ctx.obj.announce()
    asyncio.run(_follow(ctx.obj, show))


async def _follow(options: Options, show: "Show") -> None:
    """Show events without end, and connect again whenever the connection is lost.

    A daemon that has not been restarted sends its past events again; none is shown twice.
    """
    # `--help` does without grpclib.
    from localechod.control.connect import ConnectionLostError  # noqa: PLC0415 - see above
    from localechod.control.events import EventClient  # noqa: PLC0415 - see above

    # Found once: while the user's own daemon is down, the system's is not followed instead.
    path = options.control_path()
    shown: deque[object] = deque(maxlen=RECENT)
    delay = session.ReconnectDelay()
    connected = reported = False
    while True:
        try:
            async with (
                EventClient(path) as client,
                client.events(recent=RECENT) as received,
            ):
                connected, reported = True, False
                delay.reset()
                async for one in received:
                    if one.event not in shown:
                        shown.append(one.event)
                        show(one)
        except (DaemonNotRunningError, ConnectionLostError):
            if not connected:
                raise
        if not reported:
            reported = True
            sys.stderr.write("connection lost, waiting for localechod\n")
        await delay.wait()


def _show_text(received: "ReceivedEvent") -> None:
    event = received.event
    if received.dropped:
        render.emit(f"({received.dropped} events were dropped here: they came too fast)")
    moment = datetime.fromtimestamp(event.time, UTC).astimezone().isoformat(" ", "seconds")
    kind = f"{event.kind:8}"
    kind = render.colour(kind, _COLOURS[event.kind]) if event.kind in _COLOURS else kind
    render.emit(f"{moment}  {kind}  {event.endpoint or '-'}  {event.text}")
    sys.stdout.flush()


def _show_json(received: "ReceivedEvent") -> None:
    value = asdict(received.event) | {"dropped": received.dropped}
    render.emit(json_format.dumps(value))
    sys.stdout.flush()
