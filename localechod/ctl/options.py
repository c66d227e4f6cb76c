"""Where a command looks for its daemon: the global options, as each finds them in `ctx.obj`."""

import os
from dataclasses import dataclass
from pathlib import Path

from localechod.host import runtime


@dataclass(frozen=True, slots=True)
class Options:
    """The options that stand before the command's name.

    Attributes:
        control: the control socket the user named (--control or LOCALECHOD_CONTROL): a path, or
            "@name"; None for the place where the daemon puts it by itself.
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


def _usual_directory() -> Path:
    """Return the directory of the user's own daemon; under /tmp anyone could have put one there."""
    directory = runtime.runtime_directory(None)
    if os.geteuid() != 0 and os.path.lexists(directory):
        runtime.check_private(directory)
    return directory
