"""Running on one processor, and the processor time that a process has used."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localechod.errors import UsageError


def usable() -> list[int]:
    """Return the numbers of the processors that this process may run on."""
    return sorted(os.sched_getaffinity(0))


@contextmanager
def pinned(processor: int | None) -> Iterator[None]:
    """Keep this process, and all that it starts, on one processor; None leaves it to the kernel.

    Raises:
        UsageError: this process may not use that processor.
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


def cpu_seconds(pid: int) -> float | None:
    """Return the processor time of a process and of its children that have ended (proc(5)).

    The kernel counts it in steps of 10 ms. Returns None for a process that cannot be seen.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name is in parentheses and may contain any character: count from its end.
    ticks = stat.rpartition(")")[2].split()[11:15]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
