"""Where a command looks for its daemon: the global options, as each finds them in `ctx.obj`."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from localechod.host import runtime


@dataclass(frozen=True, slots=True)
class Options:
    """The options that stand before the command's name.

    Attributes:
        control: the control socket the user named (--control or LOCALECHOD_CONTROL): a path, or
            "@name"; None for the place where the daemon puts it by itself: the user's own
            daemon, or the system's where he has none.
    """

    control: str | None = None

    def control_path(self) -> str:
        """Return the control socket's address: an absolute path, or "@name".

        Raises:
            UsageError: what the user named is no path.
            LocalechodError: the usual directory is there and somebody else's.
        """
        if self.control is None:
            return str(_usual_directory() / runtime.CONTROL)
        if self.control.startswith("@"):
            return self.control
        return str(runtime.control_path(self.control))

    def runtime_directory(self) -> Path:
        """Return the directory in which the daemon keeps its sockets and the endpoint catalogue.

        It is the one that holds the control socket the user named. Falling back to the usual
        directory where that one has no catalogue would talk to another daemon than he meant.

        Raises:
            UsageError: what the user named is no path.
            LocalechodError: the usual directory is there and somebody else's.
        """
        if self.control is None or self.control.startswith("@"):
            return _usual_directory()
        return runtime.control_path(self.control).parent

    def tell(self) -> None:
        """Say on a terminal that the system's daemon is meant, where nobody has said so."""
        if self.control is None and os.geteuid() != 0 and sys.stderr.isatty():
            directory = _usual_directory()
            if directory == runtime.SYSTEM_DIRECTORY:
                sys.stderr.write(f"(the system's localechod, in {directory}: you run none)\n")


def _usual_directory() -> Path:
    """Return the directory of the user's own daemon, or the system's where he has none.

    Only who has nothing of his own there is led to the system's: what a daemon of his that has
    crashed left behind shall be told as that. Under /tmp anyone could have put a directory there.
    """
    own = runtime.runtime_directory(None)
    if os.geteuid() != 0 and os.path.lexists(own):
        runtime.check_private(own)
    systems = runtime.SYSTEM_DIRECTORY
    return systems if _in_use(systems) and not _in_use(own) else own


def _in_use(directory: Path) -> bool:
    return any(os.path.lexists(directory / name) for name in (runtime.CONTROL, runtime.CATALOG))
