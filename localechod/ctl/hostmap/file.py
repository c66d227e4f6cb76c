"""Draws the map and writes it to a file, in the format that the file's name says."""

from collections.abc import Callable
from pathlib import Path

from localechod.ctl.hostmap import dot, page, svg
from localechod.ctl.hostmap.model import HostMap, build
from localechod.ctl.hostmap.survey import gather
from localechod.errors import LocalechodError, UsageError
from localechod.text import escape

_WRITERS: dict[str, Callable[[HostMap], str]] = {
    ".html": page.write,
    ".svg": svg.write,
    ".dot": dot.write,
}


def draw(path: Path) -> tuple[str, list[str]]:
    """Write the map of this host.

    Args:
        path: the file; one that exists is replaced.

    Returns:
        One line that says what is in it, and what limits it.

    Raises:
        UsageError: the end of its name stands for no format.
        LocalechodError: the kernel's list of sockets could not be read, or the file not written.
    """
    writer = _WRITERS.get(path.suffix)
    if writer is None:
        cause = f"not a format of a map: {escape(str(path))}"
        raise UsageError(cause, f"the name ends in {', '.join(_WRITERS)}")
    found = build(gather())
    try:
        path.write_text(writer(found), encoding="utf-8")
    except OSError as error:
        cause = f"{error.strerror} ({error.errno}): {escape(str(path))}"
        raise LocalechodError(f"write failed: {cause}") from None
    counts = [
        f"{len(found.units())} units ({len(found.stuck_units())} stuck)",
        f"{len(found.sockets)} sockets",
        f"{sum(each.count for each in found.links)} connections",
    ]
    return f"{escape(str(path))}: {', '.join(counts)}", found.notes
