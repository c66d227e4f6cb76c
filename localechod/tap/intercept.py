"""Answers to the system calls of the command: a relay for the target, the kernel for all others.

The connection to the server is made first. Only if it succeeds is the client connected, to this
process. So the client gets the errno that the server's socket gives.
"""

import asyncio
import errno
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack

from localechod.localsocket.address import Address
from localechod.tap import clients, supervision
from localechod.tap.caller import Caller, OtherRightsError
from localechod.tap.clients import Client, Taken
from localechod.tap.datagrams import Datagrams
from localechod.tap.direction import Directions
from localechod.tap.meeting import Meeting
from localechod.tap.record import Recorder
from localechod.tap.relay import Relay
from localechod.tap.supervision import Call

# The answer to a call: its result or a negative errno; None lets the kernel go on with it; a
# function is called in a thread of its own, since it may block.
Answer = int | None | Callable[[], int]


class Interceptor:
    """Answers calls.

    Args:
        target: the server's address.
        meeting: where clients are connected to this process.
        recorder: hears of connections and what passes on them.
        directions: makes the ways of a relay.
        later: runs a function in the event loop, from any thread.
    """

    def __init__(
        self,
        target: Address,
        meeting: Meeting,
        recorder: Recorder,
        directions: Directions,
        later: Callable[[Callable[[], None]], object],
    ) -> None:
        self._target, self._meeting, self._recorder = target, meeting, recorder
        self._directions, self._later = directions, later
        self._relays: set[Relay] = set()
        self._datagrams = Datagrams(target, meeting, recorder, directions, self._count)
        self._unseen: set[int] = set()
        self._idle = asyncio.Event()

    def close(self) -> None:
        """Close all relays."""
        for relay in [*self._relays, *self._datagrams.relays()]:
            relay.close()

    async def finish(self) -> None:
        """Wait until all connections have ended, after the command has."""
        for relay in self._datagrams.relays():
            relay.finish()
        self._count()
        await self._idle.wait()

    def _count(self) -> None:
        if not self._relays and not self._datagrams.relays():
            self._idle.set()

    def serve(self, listener: int) -> None:
        """Receive one call and answer it.

        Raises:
            OSError: no process has the filter any more.
        """
        call = supervision.receive(listener)
        if call is None:
            return
        try:
            answer = self._answer(listener, call)
        except OSError as error:
            self._cannot_see(call.tid, error)
            answer = None
        if callable(answer):
            threading.Thread(
                target=_answer_later, args=(listener, call, answer), daemon=True
            ).start()
        elif answer is None:
            supervision.proceed(listener, call)
        else:
            supervision.answer(listener, call, answer)

    def _answer(self, listener: int, call: Call) -> Answer:
        with Caller(call.tid) as caller:
            if not supervision.still_waits(listener, call):
                return None
            machine = supervision.MACHINE
            assert machine is not None  # noqa: S101 - `launch` has refused otherwise
            if call.nr == machine.connect:
                return self._connect(listener, caller, call)
            if self._meeting.type != socket.SOCK_DGRAM:
                return None
            if call.nr == machine.sendto:
                return self._datagrams.sendto(caller, call)
            return self._datagrams.sendmsg(caller, call, many=call.nr == machine.sendmmsg)

    def _cannot_see(self, tid: int, error: OSError) -> None:
        """Say once for each process that its calls go on unseen."""
        if error.errno in {errno.ESRCH, errno.ENOENT} or tid in self._unseen:
            return
        self._unseen.add(tid)
        if isinstance(error, OtherRightsError):
            self._recorder.display.say(
                f"tap: process {tid} has other rights than this one: its connections are not "
                "shown; run the tap with those rights, as its user"
            )
            return
        self._recorder.display.say(
            f"tap: looking into process {tid} failed: {error.strerror} ({error.errno}): "
            "its connections are not shown; run the tap as root"
        )

    def _connect(self, listener: int, caller: Caller, call: Call) -> Answer:
        number, address, length, *_ = call.args
        name = caller.memory.name(address, length & 0xFFFFFFFF)
        if name is None or not caller.means(name, self._target):
            return None
        client = clients.find(caller, number & 0xFFFFFFFF, self._meeting, listener, call)
        if client is None:
            return None  # the kernel's own EISCONN, EINVAL or ENOTSOCK
        if isinstance(client, Taken) and client.type == socket.SOCK_DGRAM:
            with client.sock:
                return self._datagrams.connect(client.sock, caller)
        return self._connect_stream(client, str(caller))

    def _connect_stream(self, client: Client, name: str) -> Answer:
        with ExitStack() as undo:
            undo.callback(client.close)
            server = socket.socket(socket.AF_UNIX, client.type)
            undo.callback(server.close)
            server.setblocking(False)
            number = server.connect_ex(self._target.sockaddr)
            waits = number == errno.EAGAIN and client.waits
            if number and not waits:
                return -number
            undo.pop_all()
            return (self._patient if waits else self._join)(client, server, name)

    def _patient(self, client: Client, server: socket.socket, name: str) -> Answer:
        """Connect a client that waits, as it asked for, until a full backlog has space."""

        def wait() -> int:
            server.setblocking(True)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, client.timeout)
            number = server.connect_ex(self._target.sockaddr)
            if number:
                client.close()
                server.close()
                return -number
            done: list[int] = []
            joined = threading.Event()

            def join() -> None:
                done.append(self._join(client, server, name))
                joined.set()

            self._later(join)
            joined.wait()
            return done[0]

        return wait

    def _join(self, client: Client, server: socket.socket, name: str) -> int:
        """Connect the client to this process, and pass on what the two ends send."""
        try:
            ours = client.join()
        except OSError as error:
            server.close()
            client.close()
            return -(error.errno or errno.EIO)
        record = self._recorder.begin(name, stream=client.type == socket.SOCK_STREAM)

        def closed() -> None:
            self._relays.discard(relay)
            client.close()
            record.closed()
            self._count()

        relay = Relay((ours, server), record, self._directions, client.reset, closed)
        self._relays.add(relay)
        return 0


def _answer_later(listener: int, call: Call, answer: Callable[[], int]) -> None:
    supervision.answer(listener, call, answer())
