"""localechoctl wait: return when endpoints listen."""

import asyncio
import errno
import time
from typing import TYPE_CHECKING, Annotated

import typer

from localechod.ctl.completion import endpoint_names
from localechod.ctl.options import Options
from localechod.ctl.session import ReconnectDelay
from localechod.errors import DaemonNotRunningError, LocalechodError, SocketError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localechod.control.events import EventClient
    from localechod.control.messages import StatusReport

# A control socket is bound with a closed mode, and opened then. A client that connects in between
# is refused and should try again; a client that is refused more often than this should not.
REFUSALS = 3


def wait(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Endpoints; by default all that are not stopped.",
            show_default=False,
            autocompletion=endpoint_names,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait at most.")
    ] = 30.0,
) -> None:
    """Wait until endpoints listen; the daemon need not run yet.

    After the timeout it prints the state of the endpoints that do not listen; the exit status is 1.

    Example:
        localechoctl wait stream --timeout 10 && localechoctl send stream hello
    """
    if timeout <= 0:
        raise UsageError(f"--timeout {timeout:g}: must be more than 0 seconds")
    ctx.obj.announce()
    asyncio.run(_Wait(ctx.obj, list(names or ())).run(timeout))


class _Wait:
    """Waits for endpoints, and knows at any time which are missing."""

    def __init__(self, options: Options, names: "Sequence[str]") -> None:
        self._options = options
        self._names = names
        self._missing = "localechod has not answered"

    async def run(self, seconds: float) -> None:
        """Return when they listen.

        Raises:
            LocalechodError: they do not within `seconds`, or an endpoint does not exist.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._persist(time.monotonic() + seconds)
        except TimeoutError:
            raise LocalechodError(f"wait timed out after {seconds:g} s: {self._missing}") from None

    async def _persist(self, deadline: float) -> None:
        # `--help` does without grpclib.
        from localechod.control.connect import (  # noqa: PLC0415 - see above
            LOOK_SECONDS,
            ConnectionLostError,
        )
        from localechod.control.events import EventClient  # noqa: PLC0415 - see above

        delay = ReconnectDelay()
        refusals = 0
        while True:
            try:
                path = self._options.control_path()
                left = deadline - time.monotonic()
                if left <= 0:  # connecting blocks the loop, so the timeout may come late
                    raise TimeoutError
                async with EventClient(path, min(left, LOOK_SECONDS)) as client:
                    if await self._watch(client):
                        return
            except (DaemonNotRunningError, ConnectionLostError) as error:
                self._missing = str(error)
            except SocketError as error:
                refusals += 1
                if error.errno != errno.EACCES or refusals > REFUSALS:
                    raise
            await delay.wait()

    async def _watch(self, client: "EventClient") -> bool:
        """Return True once all listen, False if the daemon ends first.

        It subscribes before it asks for the status, so that no change in between is missed.
        """
        async with client.events(recent=0) as received:
            if self._complete(await client.status(self._names)):
                return True
            async for one in received:
                changed = one.event.kind in {"state", "reload"}
                if changed and self._complete(await client.status(self._names)):
                    return True
        return False

    def _complete(self, report: "StatusReport") -> bool:
        """Return whether all listen, and note which do not.

        Without names, stopped endpoints are not waited for: they are disabled, or a user stopped
        them. At least one must listen, or a daemon that has only just started would do.
        """
        missing = report.not_listening()
        if not self._names and len(missing) < len(report.endpoints):
            missing = {name: state for name, state in missing.items() if state != "stopped"}
        self._missing = ", ".join(f"{name} is {state}" for name, state in missing.items())
        self._missing = self._missing or "no endpoints are configured"
        return bool(report.endpoints) and not missing
