"""A tapped command, from its start to its exit status."""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from localechod.errors import NotPermittedError
from localechod.localsocket.address import Address
from localechod.tap import holder, launch
from localechod.tap.direction import Directions, plain
from localechod.tap.ending import finish
from localechod.tap.intercept import Interceptor
from localechod.tap.meeting import Meeting
from localechod.tap.record import Recorder


def run(
    target: Address,
    type_: int,
    arguments: Sequence[str],
    recorder: Recorder,
    directions: Directions = plain,
) -> int:
    """Run a command, relay its connections to the target, and return its exit status.

    Args:
        target: the server's address.
        type_: of the server's socket, a socket.SOCK_*.
        arguments: the command and its arguments.
        recorder: hears of what passes.
        directions: makes the ways of a relay.

    Raises:
        LocalechodError: the command cannot be started under supervision.
    """
    recorder.display.say(
        f"tap: {target}: the server sees process {os.getpid()}, this one, and the same uid and gid"
    )
    with Meeting(type_) as meeting:
        if type_ == socket.SOCK_DGRAM and not meeting.takes:
            raise NotPermittedError(
                "pidfd_getfd failed: Operation not permitted (1): datagrams need it",
                "a container forbids it: run this outside",
            )
        command = launch.start(arguments, sends=type_ == socket.SOCK_DGRAM)
        asyncio.run(_serve(target, meeting, command, recorder, directions))
        _, status = os.waitpid(command.pid, 0)
        if holder.is_needed(command.listener):
            recorder.display.say(
                f"tap: {arguments[0]} has ended, and a process that it started goes on: "
                "it is not shown any more"
            )
            holder.leave(command.listener)
    return launch.shell_status(os.waitstatus_to_exitcode(status))


async def _serve(
    target: Address,
    meeting: Meeting,
    command: launch.Command,
    recorder: Recorder,
    directions: Directions,
) -> None:
    loop = asyncio.get_running_loop()
    interceptor = Interceptor(target, meeting, recorder, directions, loop.call_soon_threadsafe)
    ended, stopped = asyncio.Event(), asyncio.Event()

    def serve() -> None:
        try:
            interceptor.serve(command.listener)
        except OSError:  # no process has the filter any more
            loop.remove_reader(command.listener)

    loop.add_reader(command.listener, serve)
    loop.add_reader(command.pidfd, ended.set)
    # The terminal sends the first two to the command as well, which decides for both.
    for number in (signal.SIGINT, signal.SIGQUIT):
        loop.add_signal_handler(number, lambda: None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _pass_on, command.pidfd, number)
    await ended.wait()
    loop.remove_reader(command.pidfd)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    await finish(interceptor, recorder.display, stopped)
    loop.remove_reader(command.listener)
    os.close(command.pidfd)


def _pass_on(pidfd: int, number: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)
