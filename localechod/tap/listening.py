"""The relay that listens at a path of its own, where a command cannot be supervised."""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from localechod.errors import SocketError
from localechod.localsocket.address import Address
from localechod.localsocket.peer import command, credentials
from localechod.tap.datagram_listening import DatagramListener
from localechod.tap.direction import Directions, plain
from localechod.tap.ending import finish
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
    if type_ != socket.SOCK_DGRAM:
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
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    kind = DatagramListener if listener.type == socket.SOCK_DGRAM else _Connections
    relays = kind(target, listener, recorder, directions)
    try:
        if not arguments:
            await stopped.wait()
            return 0
        status = await _status(arguments)
        await finish(relays, recorder.display, stopped)
        return status
    finally:
        relays.close()


async def _status(arguments: Sequence[str]) -> int:
    try:
        process = await asyncio.create_subprocess_exec(*arguments)
    except OSError as error:
        raise NoCommandError(arguments[0], error.errno or 0) from error
    return shell_status(await process.wait())


class _Connections:
    """Relays each connection to a listener; the arguments are those of `run`."""

    def __init__(
        self,
        target: Address,
        listener: socket.socket,
        recorder: Recorder,
        directions: Directions,
    ) -> None:
        self._target, self._listener = target, listener
        self._recorder, self._directions = recorder, directions
        self._relays: set[Relay] = set()
        self._idle = asyncio.Event()
        listener.setblocking(False)
        asyncio.get_running_loop().add_reader(listener, self._accept)

    async def finish(self) -> None:
        """Return when all connections have ended."""
        while self._accept():
            pass
        if self._relays:
            await self._idle.wait()

    def close(self) -> None:
        """Close all relays."""
        asyncio.get_running_loop().remove_reader(self._listener)
        for relay in list(self._relays):
            relay.close()

    def _accept(self) -> bool:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return False
        server = socket.socket(socket.AF_UNIX, self._listener.type)
        server.setblocking(False)
        pid = credentials(client, supplementary=False).pid
        if number := server.connect_ex(self._target.sockaddr):
            self._recorder.display.say(
                f"tap: connect failed: {os.strerror(number)} ({number}): {self._target}; "
                f"the connection of process {pid} is closed"
            )
            client.close()
            server.close()
            return True
        record = self._recorder.begin(
            f"{command(pid) or 'a process'} ({pid})", stream=client.type == socket.SOCK_STREAM
        )

        def closed() -> None:
            self._relays.discard(relay)
            record.closed()
            if not self._relays:
                self._idle.set()

        relay = Relay((client, server), record, self._directions, lambda: None, closed)
        self._relays.add(relay)
        return True
