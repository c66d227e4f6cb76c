"""Work in a child process that is given up if it stands still.

A file system that never answers keeps a process in the kernel, where no signal ends the wait: NFS
whose server is gone, or FUSE. In a user namespace any user can mount FUSE, and an overlay above it,
which asks no permission of other users.
"""

import os
import pickle
import select
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NoReturn, TypeVar

_T = TypeVar("_T")


def within(seconds: float, work: Callable[[], Iterable[_T]]) -> Iterator[_T]:
    """Yield the results of work in a child process, which prints nothing.

    Args:
        seconds: the longest time to wait for each of them.
        work: yields results. What it yields or raises can be pickled.

    Raises:
        TimeoutError: there was none in time.
        ChildProcessError: the child was killed.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _run_child(work, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb", 0) as pipe:
            yield from _results(pipe, seconds)
    finally:
        # Without waitpid(2): it may not end before its file system answers.
        os.kill(child, signal.SIGKILL)


def _results(pipe: BinaryIO, seconds: float) -> Iterator[_T]:
    while True:
        if not select.select([pipe], [], [], seconds)[0]:
            raise TimeoutError
        try:
            results, error = pickle.load(pipe)  # noqa: S301 - our own child wrote it
        except EOFError:
            raise ChildProcessError("a process of this command was killed") from None
        yield from results
        if error is not None:
            raise error
        if not results:
            return


def _run_child(work: Callable[[], Iterable[object]], writing: int) -> NoReturn:
    """Do the work. Each message has one result; the last has none, or an error."""
    try:
        # A program that reads this command's output must not wait for a child that stands still.
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        with os.fdopen(writing, "wb") as pipe:
            error: BaseException | None = None
            try:
                for each in work():
                    pickle.dump(([each], None), pipe)
                    pipe.flush()
            except BaseException as raised:  # noqa: BLE001 - a forked process must not return
                error = raised
            pickle.dump(([], error), pipe)
    finally:
        os._exit(0)
