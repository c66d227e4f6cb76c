"""Talking to the daemon from a command: one conversation, and how long to wait before another."""

from typing import TYPE_CHECKING, TypeVar

from localechod.ctl.options import Options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from localechod.control.events import ControlClient
    from localechod.control.messages import StatusReport

T = TypeVar("T")

FIRST_DELAY = 0.1
LONGEST_DELAY = 2.0


def look(options: Options, names: "Sequence[str]" = ()) -> "StatusReport":
    """Return the daemon and all, or the named, endpoints; quicker than `ask`, which can do more.

    Raises:
        LocalechodError: as `control.inquiry` says.
    """
    # Not for `--help` either.
    from localechod.control.client import status  # noqa: PLC0415 - see above

    options.tell()
    return status(options.control_path(), names)


def ask(options: Options, conversation: "Callable[[ControlClient], Awaitable[T]]") -> T:
    """Connect to the daemon, hold a conversation with it, and return its outcome.

    Raises:
        LocalechodError: what the client or the daemon says is wrong.
    """
    # gRPC takes longer to import than all else together, and `--help` has no need of it.
    import asyncio  # noqa: PLC0415 - see above

    from localechod.control.events import ControlClient  # noqa: PLC0415 - see above

    options.tell()

    async def held() -> T:
        async with ControlClient(options.control_path()) as client:
            return await conversation(client)

    return asyncio.run(held())


class Backoff:
    """How long to wait before the next attempt to connect: doubling, up to two seconds.

    There is no event for "a socket is bound at this path" that works for every path, so waiting
    for a daemon means to try again; this is the one place that does.
    """

    def __init__(self) -> None:
        self._delay = FIRST_DELAY

    async def wait(self) -> None:
        """Sleep, longer each time."""
        import asyncio  # noqa: PLC0415 - only who holds a conversation needs it

        await asyncio.sleep(self._delay)
        self._delay = min(self._delay * 2, LONGEST_DELAY)

    def reset(self) -> None:
        """Begin anew, after an attempt that succeeded."""
        self._delay = FIRST_DELAY
