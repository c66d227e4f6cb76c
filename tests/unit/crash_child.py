"""A connection whose process is a real one, killed at a system call, whatever code makes it.

So this also tests the compiled loop. The steps are the entry and the exit of each system call on
the connection's socket. Between two of them the compiled loop makes at most one store into the
slot, so a kill at every step finds every state that a kill at any instant could.
"""

import mmap
import os
import select
from collections.abc import Sequence
from contextlib import suppress

import pytest

from localechod.config import EndpointConfig
from localechod.echo.persist import crash_slots
from localechod.echo.persist.crash_slots import size
from tests.unit.crash_fakes import CUT, SLOTS, Killed, World, may_be_cut
from tests.unit.loops import new_loop
from tests.unit.ptrace import Child

# What the test's process sends to have the child serve.
_SERVE = b"s"


class ChildWorld(World):
    """A world in which each process is a child; it is prepared here, and serves there."""

    def __init__(self, config: EndpointConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(config, monkeypatch)
        monkeypatch.undo()  # the child's own system calls are the steps
        self._child: Child | None = None
        self._descriptor = -1
        self._commands = os.pipe()

    def begin(self) -> None:
        end, self.steps.end = self.steps.end, -1
        super().begin()
        self._start(end)

    def go_on(self, config: EndpointConfig | None = None) -> bool:
        goes_on = super().go_on(config)
        if goes_on:
            self._start(-1)
        return goes_on

    def serve(self) -> None:
        if self.alive:
            os.write(self._commands[1], _SERVE)
            self._run()

    @property
    def alive(self) -> bool:
        return self._child is not None and bool(self._child.pid)

    def close(self) -> None:
        super().close()
        for descriptor in self._commands:
            os.close(descriptor)

    def _memory(self) -> crash_slots.Memory:
        return mmap.mmap(-1, size(SLOTS))  # shared with the child

    def _start(self, end: int) -> None:
        """Have a child go on with the connection, and close it here."""
        self._descriptor = self.process.fd
        self._child = Child(self._serve_in_child)
        self.process.sock.close()
        self._process = None
        self._loop.close()
        self._loop = new_loop()
        self._reactor = self._loop.reactor
        self.steps.taken, self.steps.end = 0, -1
        self._run()
        self.steps.end = end

    def _serve_in_child(self) -> None:
        self.steps.end = -1
        while self.process.fd >= 0:
            os.read(self._commands[0], 1)
            while self.process.fd >= 0 and self._reactor.turn():
                pass
        os._exit(0)

    def _run(self) -> None:
        """Let the child run until it waits for a command, or is killed."""
        assert self._child is not None
        while stop := self._child.run():
            call, is_entry = stop
            if not is_entry:
                if call.name and call.arguments[0] == self._descriptor:
                    self._step(f"{call.name} exit", call.arguments)
            elif call.name == "read" and call.arguments[0] == self._commands[0]:
                if not self._has_command():
                    return
            elif call.name and call.arguments[0] == self._descriptor:
                self._step(f"{call.name} entry", call.arguments)
                if call.name in {"write", "sendto"} and self._may_be_cut(call.arguments[2]):
                    self._step(f"{call.name} cut", call.arguments)

    def _step(self, kind: str, arguments: Sequence[int]) -> None:
        assert self._child is not None
        try:
            self.steps.take(kind)
        except Killed:
            sent = b""
            if kind.endswith("cut"):
                sent = self._child.read_memory(arguments[1], CUT)
            self._child.kill()
            if sent:  # by the stored duplicate of the socket, as the kernel would have done
                with suppress(BlockingIOError):
                    os.write(self._stored(), sent)
            raise

    def _may_be_cut(self, size: int) -> bool:
        return bool(self.store.held) and may_be_cut(self._stored(), size)

    def _stored(self) -> int:
        ((descriptor,),) = self.store.held.values()
        return descriptor

    def _has_command(self) -> bool:
        return bool(select.select([self._commands[0]], [], [], 0)[0])

    def _die(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None
        super()._die()
