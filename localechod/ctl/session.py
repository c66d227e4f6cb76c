"""Where a command gets its client of the daemon, and the delay before it connects again."""

from typing import TYPE_CHECKING

from localechod.ctl.options import Options

if TYPE_CHECKING:
    from localechod.control.client import Client

FIRST_DELAY = 0.1
LONGEST_DELAY = 2.0


def client(options: Options) -> "Client":
    """Return a client of the daemon that the options name.

    Raises:
        UsageError: the control socket that the user named is not a usable address.
        LocalechodError: the usual directory belongs to another user.
    """
    # `--help` does without protobuf and h2.
    from localechod.control.client import Client  # noqa: PLC0415 - see above

    options.announce()
    return Client(options.control_path())


class ReconnectDelay:
    """The delay before the next attempt to connect: it doubles, up to two seconds.

    No event says for every kind of path that a socket has been bound there. To wait for a daemon
    therefore means to try again; nothing else in localechoctl retries on a timer.
    """

    def __init__(self) -> None:
        self._delay = FIRST_DELAY

    async def wait(self) -> None:
        """Sleep, twice as long each time."""
        import asyncio  # noqa: PLC0415 - only events and wait need it

        await asyncio.sleep(self._delay)
        self._delay = min(self._delay * 2, LONGEST_DELAY)

    def reset(self) -> None:
        """Begin again with the first delay, after an attempt that succeeded."""
        self._delay = FIRST_DELAY
