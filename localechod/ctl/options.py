"""The global options, which every command finds in `ctx.obj`, and the daemon that they name."""

import sys
from dataclasses import dataclass
from pathlib import Path

from localechod.ctl import discovery
from localechod.host import runtime


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the command's name.

    Attributes:
        control: the control socket the user named (--control or LOCALECHOD_CONTROL): a path, or
            "@name"; None for the default: the user's own daemon, or the system's if they have
            none.
    """

    control: str | None = None

    def control_path(self) -> str:
        """Return the control socket's address: an absolute path, or "@name".

        Raises:
            UsageError: the user named an unusable path.
            LocalechodError: the default directory belongs to another user.
        """
        if self.control is None:
            return str(discovery.discover().directory / runtime.CONTROL)
        if self.control.startswith("@"):
            return self.control
        return str(runtime.control_path(self.control))

    def runtime_directory(self) -> Path:
        """Return the directory in which the daemon keeps its sockets and the endpoint catalog.

        It is the directory of the control socket that the user named. Without a catalog there,
        the default directory is no substitute: it may belong to another daemon.

        Raises:
            UsageError: the user named an unusable path.
            LocalechodError: the default directory belongs to another user.
        """
        if self.control is None or self.control.startswith("@"):
            return discovery.discover().directory
        return runtime.control_path(self.control).parent

    def announce(self) -> None:
        """Print on a terminal which daemon is meant, where there is a choice."""
        if self.control is None and sys.stderr.isatty():
            remark = discovery.discover().remark
            if remark:
                sys.stderr.write(f"({remark})\n")
