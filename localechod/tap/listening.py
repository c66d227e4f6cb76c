"""The relay that listens at a path of its own, where a command cannot be supervised."""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from localechod.errors import SocketError
from localechod.localsocket.address import Address
from localechod.localsocket.peer import command, credentials
from localechod.tap.direction import Directions, plain
from localechod.tap.launch import NoCommandError, shell_status
from localechod.tap.record import Recorder
from localechod.tap.relay import Relay

_BACKLOG = 128


def listen(address: Address, type_: int) -> socket.socket:
    """Return a listener at a new address, which only this user can connect to.

    Raises:
        SocketError: the address is in use, or cannot be bound.
    """
    listener = socket.socket(socket.AF_UNIX, type_)
    previous = os.umask(0o177)
    try:
        listener.bind(address.sockaddr)
    except OSError as error:
        listener.close()
        raise SocketError("bind", error.errno or 0, str(address)) from error
    finally:
        os.umask(previous)
    listener.listen(_BACKLOG)
    return listener


def run(
    target: Address,
    listener: socket.socket,
    arguments: Sequence[str],
    recorder: Recorder,
    directions: Directions = plain,
) -> int:
    """Relay connections until the command ends, or without one until SIGINT or SIGTERM.

    Args:
        target: the server's address.
        listener: from `listen`; owned from now on, and its file is removed in the end.
        arguments: the command and its arguments; may be empty.
        recorder: hears of what passes.
        directions: makes the ways of a relay.

    Returns:
        The command's exit status, as `session.run` has it; 0 without a command.

    Raises:
        NoCommandError: the command cannot be run.
    """
    name = listener.getsockname()
    try:
        return asyncio.run(_serve(target, listener, arguments, recorder, directions))
    finally:
        listener.close()
        if isinstance(name, str):
            with suppress(OSError):
                os.unlink(name)  # noqa: PTH108 - a string


async def _serve(
    target: Address,
    listener: socket.socket,
    arguments: Sequence[str],
    recorder: Recorder,
    directions: Directions,
) -> int:
    loop = asyncio.get_running_loop()
    relays: set[Relay] = set()
    listener.setblocking(False)
    loop.add_reader(listener, _accept, target, listener, recorder, directions, relays)
    with ExitStack() as undo:
        undo.callback(_close, relays)
        undo.callback(loop.remove_reader, listener)
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        if not arguments:
            await stopped.wait()
            return 0
        return await _status(arguments)


def _close(relays: set[Relay]) -> None:
    for relay in list(relays):
        relay.close()


async def _status(arguments: Sequence[str]) -> int:
    try:
        process = await asyncio.create_subprocess_exec(*arguments)
    except OSError as error:
        raise NoCommandError(arguments[0], error.errno or 0) from error
    return shell_status(await process.wait())


def _accept(
    target: Address,
    listener: socket.socket,
    recorder: Recorder,
    directions: Directions,
    relays: set[Relay],
) -> None:
    try:
        client, _ = listener.accept()
    except OSError:
        return
    server = socket.socket(socket.AF_UNIX, listener.type)
    server.setblocking(False)
    pid = credentials(client, supplementary=False).pid
    if number := server.connect_ex(target.sockaddr):
        recorder.display.say(
            f"tap: connect failed: {os.strerror(number)} ({number}): {target}; "
            f"the connection of process {pid} is closed"
        )
        client.close()
        server.close()
        return
    record = recorder.begin(
        f"{command(pid) or 'a process'} ({pid})", stream=client.type == socket.SOCK_STREAM
    )

    def closed() -> None:
        relays.discard(relay)
        record.closed()

    relay = Relay((client, server), record, directions, lambda: None, closed)
    relays.add(relay)
