"""localechoctl top: rates, queues and errors as they change."""

import os
import sys
import time
from typing import Annotated

import typer

from localechod.ctl import render
from localechod.ctl.session import client
from localechod.ctl.top import page
from localechod.ctl.top.model import Frame
from localechod.ctl.top.page import View
from localechod.ctl.top.sampling import Sampler, as_json
from localechod.errors import UsageError

SHORTEST_INTERVAL = 0.2
"""Seconds. Each sample is a call to the daemon, and a list of all sockets of the host."""


def top(
    ctx: typer.Context,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", help="Between two samples; at least 0.2.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame as text.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one frame as JSON.")] = False,
) -> None:
    """Show rates, queues and errors as they change, in the terminal; q ends it.

    Of localechod's endpoints: connections, and messages, bytes and errors for each second. Of
    every local socket of this network namespace that has a queue: for a listener, the clients
    that wait, and their limit; for others, the bytes to be read. CHANGE is that of the queue since
    the sample before. Without a daemon, the sockets alone are shown.

    Keys: s sorts by load, by trouble (errors, and queues that grow) or by name; / filters by name,
    type or state, and Esc ends that; a shows sockets with an empty queue too; arrows scroll.
    --once and --json take two samples, one interval apart. --json has all sockets.

    Examples:
        localechoctl top
        localechoctl top --once --interval 5
        localechoctl top --json | jq '.sockets[] | select(.change > 0)'
    """
    if interval < SHORTEST_INTERVAL:
        raise UsageError(f"too short an interval: {interval:g} s", "at least 0.2 s")
    daemon = client(ctx.obj)
    sampler = Sampler(lambda: daemon)
    if json:
        found = _frame(sampler, interval).chosen("load", "", every=True)
        render.emit_json(as_json(found, sampler.holders(found.sockets)))
    elif once:
        found = _frame(sampler, interval).chosen("load", "", every=False)
        for line in page.lines(found, View(), sampler.holders(found.sockets)):
            render.emit(line.text)
    else:
        _interact(sampler, interval)


def _frame(sampler: Sampler, interval: float) -> Frame:
    sampler.frame()
    time.sleep(interval)
    return sampler.frame()


def _interact(sampler: Sampler, interval: float) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("top needs a terminal", "use --once or --json")
    # curses is a part of Python, but some builds are without it.
    from localechod.ctl.top import screen  # noqa: PLC0415 - for a terminal only

    screen.run(sampler, interval, os.environ.get("TERM", ""))
