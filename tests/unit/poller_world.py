"""A poller, compiled and in Python, with pipes that are ready."""

import os
import select
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from localechod.echo import fastpath
from localechod.echo.fastpath import CHILD_TIME, Poller
from localechod.echo.portable import poller as portable
from localechod.echo.portable.flow import Flow

Builds = dict[str, tuple[type[Any], type[Any]]]

BUILDS: Builds = {"Python": (portable.Poller, Flow)}
if fastpath.COMPILED:
    BUILDS["compiled"] = (Poller, fastpath.Flow)


class Pipe:
    """A descriptor that is ready until it is read, and a handler for it."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.fd, self._writer = os.pipe()
        self.then = then
        self.served: list[int] = []
        self.errors: list[Exception] = []
        self.write()

    def write(self) -> None:
        os.write(self._writer, b"x")

    def serve(self, events: int) -> int | None:
        self.served.append(events)
        os.read(self.fd, 1)
        self.then()
        return None

    def failed(self, error: Exception) -> None:
        self.errors.append(error)

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._writer)


class World:
    """A root and what belongs to it."""

    def __init__(self, build: tuple[type[Any], type[Any]], stack: ExitStack) -> None:
        poller_class, self.flow_class = build
        self.failures: list[tuple[int, object, Exception]] = []
        self.stack = stack

        class Root(poller_class):  # type: ignore[misc,valid-type]
            def handler_failed(_self, fd: int, handler: object, error: Exception) -> None:  # noqa: N805
                self.failures.append((fd, handler, error))

        self.new = Root
        self.root = self.make()

    def make(self, *arguments: object, **words: float) -> Any:
        poller = self.new(*arguments, **words)
        self.stack.callback(poller.close)
        return poller

    def pipe(self, poller: Any = None, then: Callable[[], object] = lambda: None) -> Pipe:
        """Return one that is registered and ready."""
        pipe = Pipe(then)
        self.stack.callback(pipe.close)
        (poller or self.root).register(pipe.fd, select.EPOLLIN, pipe)
        return pipe

    def foreign(self) -> Pipe:
        pipe = Pipe()
        self.stack.callback(pipe.close)
        self.root.register(pipe.fd, select.EPOLLIN, None)
        return pipe


def busy() -> None:
    """Take all the time that a child has in a turn."""
    until = time.monotonic() + CHILD_TIME / 1e6
    while time.monotonic() < until:
        pass
