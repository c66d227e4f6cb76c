"""Security modules that may deny a connect although the file modes allow it.

The report shows the labels that the module compares. The policy of SELinux is asked. Those of
AppArmor and Smack cannot be read as rules.
"""

import os
import re
import socket
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from localechod.explain import selinux
from localechod.explain.selinux import Refusal, Use
from localechod.explain.walk import Step, Walk
from localechod.localsocket.diag import DiagSocket

_APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
_FEATURES = Path("/sys/kernel/security/apparmor/features")
_SMACK = Path("/sys/fs/smackfs")

_MODE = re.compile(r" \((?:complain|enforce|kill|mixed|prompt|unconfined|user)\)\Z")


@dataclass(frozen=True, slots=True)
class Security:
    """The active security module, and the labels that it compares ("" where unknown).

    Attributes:
        module: "SELinux", "AppArmor", "Smack", or "" where none can deny a connect.
        client: the label of the client.
        servers: the labels of the processes that hold the socket.
        file: the label of the socket file.
        refusals: what the policy of SELinux refuses.
        is_known: the policy has answered for everything that the client does.
        mediates: of AppArmor: it compares both sides of a connect, not the client's socket alone.
    """

    module: str
    client: str = ""
    servers: tuple[str, ...] = ()
    file: str = ""
    refusals: tuple[Refusal, ...] = ()
    is_known: bool = False
    mediates: bool = True

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles of AppArmor that may refuse the connect."""
        sides = (self.client, *(self.servers if self.mediates else ()))
        confined = {_MODE.sub("", label) for label in sides if not _unconfined(label)}
        return tuple(sorted(confined))


def inspect(
    client: int | None,
    servers: tuple[int, ...],
    main: DiagSocket | None,
    walk: Walk | None = None,
    above: bytes = b"",
) -> Security:
    """Find the active module, read the labels, and ask the policy where that is possible.

    Args:
        client: the pid of the client; None: a new login, whose label is not known.
        servers: the pids that hold the socket.
        main: the socket that a connect reaches; None where there is none.
        walk: the client's path; None for an abstract name.
        above: what to put before a path of the client, so that it is good here.
    """
    module = _module()
    if not module:
        return Security("")
    label = "" if client is None else process_label(client)
    labels = tuple(map(process_label, servers))
    if module != "SELinux":
        return Security(module, label, labels, mediates=_mediates())
    files = tuple(_files(walk, above)) if walk else ()
    sockets = tuple(_socket(label, main, servers)) if main else ()
    found, complete = selinux.refusals(label, (*files, *sockets))
    file = next((use.label for use in files if use.kind == "sock_file"), "")
    return Security(module, label, labels, file, found, complete)


def _module() -> str:
    if selinux.is_enforcing():
        return "SELinux"
    if _read(_APPARMOR) == "Y":
        return "AppArmor"
    return "Smack" if _SMACK.is_dir() else ""


def _mediates() -> bool:
    """Whether AppArmor has rules for a connect; without, it only has some for a new socket."""
    return not _FEATURES.is_dir() or any(_FEATURES.glob("network*/af_unix"))


def _files(walk: Walk, above: bytes) -> Iterator[Use]:
    """Yield what path resolution and connect do to files (selinux_inode_permission())."""
    seen: set[bytes] = set()
    for step in (*walk.steps, *([walk.end] if walk.end else [])):
        if step.path not in seen:
            seen.add(step.path)
            yield _file(step, above)


def _file(step: Step, above: bytes) -> Use:
    label = _file_label(above + step.path) if step.path.startswith(b"/") else ""
    if stat.S_ISDIR(step.node.mode):
        return Use(label, "dir", ("search",), step.path)
    if stat.S_ISLNK(step.node.mode):
        return Use(label, "lnk_file", ("read",), step.path)
    return Use(label, "sock_file", ("write",), step.path)


def _socket(client: str, main: DiagSocket, servers: Sequence[int]) -> Iterator[Use]:
    """Yield what a client does to its own socket and to the server's.

    Those are the checks of selinux_socket_connect(), selinux_socket_unix_stream_connect() and
    selinux_socket_unix_may_send() in Linux's security/selinux/hooks.c.
    """
    datagram = main.type == socket.SOCK_DGRAM
    kind = "unix_dgram_socket" if datagram else "unix_stream_socket"
    yield Use(client, kind, ("create", "connect"))
    yield Use(socket_label(main, servers), kind, ("sendto" if datagram else "connectto",))


def process_label(pid: int) -> str:
    """Return the label of a process; "" where it is not known."""
    directory = Path(f"/proc/{pid}/attr")
    # Before Linux 5.8 only the second file exists. It shows the first of several modules.
    return _read(directory / "apparmor/current") or _read(directory / "current")


def socket_label(main: DiagSocket, servers: Sequence[int]) -> str:
    """Return the label of a socket, which a service manager may set; "" where it is not known."""
    for pid in servers:
        directory = Path(f"/proc/{pid}/fd")
        try:
            for each in directory.iterdir():
                if str(each.readlink()) == f"socket:[{main.inode}]":
                    return _label_of(os.fsencode(each), follow=True)
        except OSError:  # it has ended, or is another user's
            continue
    return ""


def _file_label(file: bytes) -> str:
    return _label_of(file, follow=False)


def _label_of(file: bytes, *, follow: bool) -> str:
    try:
        packed = os.getxattr(file, "security.selinux", follow_symlinks=follow)
    except OSError:
        return ""
    return packed.rstrip(b"\0").decode("utf-8", "replace")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _unconfined(label: str) -> bool:
    return label in {"", "unconfined"} or label.endswith((" (complain)", " (unconfined)"))
