"""The end of a tap: what is in sockets still is passed on before they are closed."""

import asyncio
from typing import Protocol

from localechod.tap.display import Display

_SOON = 0.5  # seconds


class Relays(Protocol):
    """All relays of a tap."""

    async def finish(self) -> None:
        """Return when all connections have ended."""

    def close(self) -> None:
        """Close all relays."""


async def finish(relays: Relays, display: Display, stopped: asyncio.Event) -> None:
    """Pass on what is in sockets still; a process that the command left may talk for long."""
    tasks = [asyncio.create_task(work) for work in (relays.finish(), stopped.wait())]
    done, _ = await asyncio.wait(tasks, timeout=_SOON, return_when=asyncio.FIRST_COMPLETED)
    if not done:
        display.say(
            "tap: the command has ended, but connections of it are open still; Ctrl-C closes them"
        )
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    relays.close()
