"""The facts about one address, as seen from one process: what a verdict is based on."""

import os
from dataclasses import dataclass, field

from localechod.explain.absence import Absence
from localechod.explain.abstract_names import Elsewhere
from localechod.explain.ancestry import Relative
from localechod.explain.client import Client
from localechod.explain.confinement import Confinement
from localechod.explain.listings import Listing
from localechod.explain.liveness import Liveness
from localechod.explain.magic_links import Inspector
from localechod.explain.not_sockets import Content
from localechod.explain.processes import HoldingProcess
from localechod.explain.sandbox import Sandbox
from localechod.explain.security import Security
from localechod.explain.units import SocketUnit
from localechod.explain.walk import Walk

LONGEST = 108  # sizeof(sockaddr_un.sun_path)


@dataclass(frozen=True, slots=True)
class Question:
    """The connect to explain.

    Attributes:
        name: a path, absolute or relative, or a NUL and an abstract name.
        type: a socket.SOCK_*, or None for the type of the socket that is found.
        client: the credentials to check with.
        pid: the process whose namespaces, root and working directory to use; None: our own.
        filters: read its seccomp filters, which stops it for a moment.
    """

    name: bytes
    type: int | None
    client: Client
    pid: int | None = None
    filters: bool = False

    @property
    def is_abstract(self) -> bool:
        """True for an abstract name, which has no file."""
        return self.name.startswith(b"\0")

    @property
    def is_ours(self) -> bool:
        """True where the client is our own process, with its filters, domains and labels."""
        return self.pid is None and self.client.pid == os.getpid()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the verdict is based on.

    Attributes:
        unreadable: the number of processes whose descriptors could not be read.
        contained: we are in a pid namespace, outside of which there may be other processes.
        protected_links: fs.protected_symlinks is on.
        family: the client's process and its ancestors; empty where the client is a user.
        absent: those of the commands that a remedy may have which are not installed.
        elsewhere: of an abstract name that is not bound, where it is.
        content: of a file that is no socket, what is in it.
        former: the client's connections to a socket that had the name before.
        inspector: the client, as the links in /proc/PID see it; None where there is none.
        absence: what is known where a path leads to no listener.
        confinement: the setting of the client's service that hides files; None where there is none.
        outside: the same facts as from our own root directory, where there is such a setting.
    """

    question: Question
    walk: Walk | None = None
    listing: Listing = field(default_factory=Listing)
    holders: tuple[HoldingProcess, ...] = ()
    unreadable: int = 0
    contained: bool = False
    activation: SocketUnit | None = None
    security: Security = field(default_factory=lambda: Security(""))
    protected_links: bool = False
    family: tuple[Relative, ...] = ()
    absent: frozenset[str] = frozenset()
    sandbox: Sandbox = field(default_factory=Sandbox)
    liveness: Liveness = field(default_factory=Liveness)
    former: int = 0
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    content: Content = field(default_factory=Content)
    inspector: Inspector | None = None
    absence: Absence = field(default_factory=Absence)
    confinement: Confinement | None = None
    outside: "Facts | None" = None
