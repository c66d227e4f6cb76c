"""How many endpoints the monitor checks at once."""

import asyncio
from typing import Any

import pytest

from localechod.echo.monitor import Monitor
from localechod.localsocket.watch import NullWatcher

NAMES = [f"e{number}" for number in range(100)]


class Reactor:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop


class Reports(NullWatcher):
    """Events for all endpoints, as after a user has touched their sockets, or after an overflow."""

    def changed(self) -> set[str]:
        return set(NAMES)


class Checked:
    """An endpoint, as far as events for it are looked at."""

    postponed = False


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Checked]:
    checked: list[Checked] = []
    monkeypatch.setattr(Monitor, "_look", lambda _self, each, **_: checked.append(each))
    return checked


def monitor_of(loop: asyncio.AbstractEventLoop) -> Monitor:
    reactor: Any = Reactor(loop)
    monitor = Monitor(reactor, Reports(), lambda _config: True)
    monitored: Any = {name: Checked() for name in NAMES}
    monitor._monitored = monitored
    return monitor


def test_events_for_all_endpoints_have_a_few_checked_in_each_round(checked: list[Checked]) -> None:
    async def serve() -> None:
        monitor = monitor_of(asyncio.get_running_loop())
        monitor.serve(0)
        known = 0
        while known < len(checked):
            assert len(checked) - known <= 10
            known = len(checked)
            await asyncio.sleep(0)
        assert len(set(checked)) == len(checked) == len(NAMES)

    asyncio.run(serve())


def test_more_events_meanwhile_cause_no_more_checks_in_a_round(checked: list[Checked]) -> None:
    async def serve() -> None:
        monitor = monitor_of(asyncio.get_running_loop())
        for _ in range(5):
            monitor.serve(0)
        assert len(checked) <= 10

    asyncio.run(serve())
