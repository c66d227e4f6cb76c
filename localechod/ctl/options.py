"""Where a command looks for its daemon: the global options, as each finds them in `ctx.obj`."""

import sys
from dataclasses import dataclass
from pathlib import Path

from localechod.ctl import discovery
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
            return str(discovery.usual().directory / runtime.CONTROL)
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
            return discovery.usual().directory
        return runtime.control_path(self.control).parent

    def announce(self) -> None:
        """Say on a terminal which daemon is meant, where there is another, or none in its place."""
        if self.control is None and sys.stderr.isatty():
            remark = discovery.usual().remark
            if remark:
                sys.stderr.write(f"({remark})\n")
