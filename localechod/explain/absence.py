"""What is known where a path leads to no listener."""

from dataclasses import dataclass

from localechod.explain import beside, dead_mounts, lost
from localechod.explain.beside import Beside
from localechod.explain.dead_mounts import DeadMount
from localechod.explain.lost import Lost
from localechod.explain.walk import Walk


@dataclass(frozen=True, slots=True)
class Absence:
    """What is known of it.

    Attributes:
        dead_mount: the mount of a removed directory at which the path ends; None where it does not.
        lost: a listener that has the name and another file; None where none is known.
        beside: listeners of similar names, where the path does not exist.
    """

    dead_mount: DeadMount | None = None
    lost: Lost | None = None
    beside: tuple[Beside, ...] = ()


def inspect(name: bytes, pid: int | None, walk: Walk) -> Absence:
    """Find out what is known.

    Args:
        name: the path.
        pid: the client's process; None: our own.
        walk: the client's, which has led to no listener.

    Raises:
        OSError: the process has ended or may not be inspected.
    """
    dead = dead_mounts.find(walk, name, pid)
    if dead is not None or walk.failure:
        return Absence(dead)
    near = () if walk.end else beside.find(name, pid)
    return Absence(lost=lost.find(name, pid, walk), beside=near)
