"""Event loops on a reactor, as the daemon has one."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from localechod.echo.eventloop import EventLoop
from localechod.echo.reactor import Reactor

T = TypeVar("T")


def new_loop() -> EventLoop:
    """Return an event loop on a reactor of its own."""
    return EventLoop(Reactor())


def run(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Run to its end on such a loop, with a deadline."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(asyncio.wait_for(work, seconds))


def running_reactor() -> Reactor:
    """Return the reactor of the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, EventLoop)
    return loop.reactor
