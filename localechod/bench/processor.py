"""Processors and processes: which one runs us, and how much time a process has used."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localechod.errors import UsageError


def usable() -> list[int]:
    """Return the processors that this process may run on."""
    return sorted(os.sched_getaffinity(0))


@contextmanager
def pinned(processor: int | None) -> Iterator[None]:
    """Keep this process, and what it starts, on one processor; None leaves it to the kernel.

    Raises:
        UsageError: there is no such processor for us.
    """
    before = os.sched_getaffinity(0)
    if processor is not None and processor not in before:
        known = ", ".join(map(str, sorted(before)))
        raise UsageError(f"--cpu {processor}: there is no such processor", f"there are: {known}")
    if processor is not None:
        os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def seconds(pid: int) -> float | None:
    """Return the processor time a process has used, its ended children's included (proc(5)).

    In steps of 10 ms, as the kernel counts there; None where the process is not to be seen.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name is in parentheses and may contain any character, so count from its end.
    ticks = stat.rpartition(")")[2].split()[11:15]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
