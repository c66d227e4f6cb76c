"""Reports to the service manager while the service runs: STATUS= and the watchdog."""

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
        notifier: sends it.
        supervisor: has the endpoints.
        remark: returns the fault of the service itself, or "".
    """
    events = supervisor.events.subscribe()
    notifier.status(summary(supervisor, remark()))
    async for event in events:
        if event.kind in {"state", "reload"}:
            notifier.status(summary(supervisor, remark()))


def summary(supervisor: Supervisor, remark: str = "") -> str:
    """Return one line: the endpoints by state, and the fault of the service itself, if any."""
    states = list(supervisor.states().values())
    serving = states.count("listening") + states.count("degraded")
    troubled = [state for state in ("degraded", "failed", "stopped") if state in states]
    parts = [f"{serving} of {len(states)} endpoints listening"]
    parts += [f"{states.count(state)} {state}" for state in troubled]
    return ", ".join(parts + [remark] * bool(remark))


async def feed_watchdog(notifier: Notifier, reactor: Reactor) -> None:
    """Notify the watchdog in each period in which the data plane answers."""
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
