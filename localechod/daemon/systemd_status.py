"""What the service manager is told while the service lives: how it is, and that it works."""

import asyncio
from collections.abc import Callable

from localechod.echo.reactor import Pulse, Reactor
from localechod.echo.supervisor import Supervisor
from localechod.host.systemd import Notifier, watchdog_period


async def tell_status(
    notifier: Notifier, supervisor: Supervisor, remark: Callable[[], str]
) -> None:
    """Keep the STATUS= line true until the bus of events closes.

    Args:
        notifier: how it is told.
        supervisor: of the endpoints.
        remark: says what is wrong with the service itself by now, or "".
    """
    events = supervisor.events.subscribe()
    notifier.status(summary(supervisor, remark()))
    async for event in events:
        if event.kind in {"state", "reload"}:
            notifier.status(summary(supervisor, remark()))


def summary(supervisor: Supervisor, remark: str = "") -> str:
    """Say in one line how the endpoints are, and what is wrong with the service itself, if any."""
    states = [status.state for status in supervisor.status()]
    serving = states.count("listening") + states.count("degraded")
    troubled = [state for state in ("degraded", "failed", "stopped") if state in states]
    parts = [f"{serving} of {len(states)} endpoints listening"]
    parts += [f"{states.count(state)} {state}" for state in troubled]
    return ", ".join(parts + [remark] * bool(remark))


async def feed_watchdog(notifier: Notifier, reactor: Reactor) -> None:
    """Tell the watchdog that the data plane answers, for as long as it does."""
    period = watchdog_period()
    if period is None:
        return
    pulse = Pulse(reactor)
    try:
        while True:
            await pulse.beat()
            notifier.watchdog()
            await asyncio.sleep(period)
    finally:
        pulse.close()
