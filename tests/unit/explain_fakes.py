"""Invented facts for the checks, for cases that cannot be created on every machine."""

import errno
import socket
import stat

from localechod.explain.client import Client
from localechod.explain.facts import Facts, Question
from localechod.explain.inode import Acl, Node
from localechod.explain.listings import Listing
from localechod.explain.mounts import Mount
from localechod.explain.processes import HoldingProcess
from localechod.explain.security import Security
from localechod.explain.units import SocketUnit
from localechod.explain.walk import Step, Walk
from localechod.localsocket.diag import DiagSocket

DISK = Mount(device=1, root=b"/", point=b"/", kind="ext4", read_only=False)
EVERY = (range(2**32 - 1),)


def client(uid: int = 5, *groups: int, login_groups: tuple[int, ...] = ()) -> Client:
    """Return an ordinary user, games of Debian unless told otherwise."""
    return Client(
        uid,
        frozenset(groups),
        frozenset(login_groups),
        dac_override=False,
        dac_read_search=False,
        uids=EVERY,
        gids=EVERY,
    )


def step(
    path: str, mode: int, uid: int = 0, gid: int = 0, *, acl: Acl | None = None, mount: Mount = DISK
) -> Step:
    """Return one step of a path."""
    raw = path.encode()
    return Step(raw, Node(mode, uid, gid, acl), mount, inode=hash(raw), device=1, ours=raw)


def link(path: str, target: str, uid: int, parent: Node | None) -> Step:
    """Return a symbolic link; with its parent if it is the last of its path."""
    node = Node(stat.S_IFLNK | 0o777, uid, 0)
    return Step(path.encode(), node, DISK, target=target.encode(), parent=parent)


def walk(*steps: Step, end: Step | None = None, number: int = 0, stopped_at: str = "") -> Walk:
    """Return a walk that begins at the root directory."""
    root = step("/", stat.S_IFDIR | 0o755)
    return Walk((root, *steps), end, number, stopped_at.encode(), last=True)


def listener(**changes: object) -> DiagSocket:
    """Return a listening stream socket as UNIX_DIAG has it."""
    fields: dict[str, object] = {
        "type": socket.SOCK_STREAM,
        "state": 10,
        "inode": 42,
        "name": b"/run/docker.sock",
        "device": 1,
        "file_inode": 7,
        "peer": 0,
        "queue": 0,
        "backlog": 4096,
        "pending": (),
        "uid": 0,
    }
    return DiagSocket(**(fields | changes))  # type: ignore[arg-type]


DOCKERD = HoldingProcess(812, "root", "dockerd", "docker.service")
SYSTEMD = HoldingProcess(1, "root", "systemd", "init.scope")


def docker(
    who: Client | None = None,
    *,
    listing: Listing | None = None,
    security: Security | None = None,
    pid: int | None = None,
    kind: int | None = None,
    **more: object,
) -> Facts:
    """Return the facts about a socket like docker's: root:staff 0660, with two holders."""
    question = Question(b"/var/run/docker.sock", kind, who or client(), pid)
    parent = Node(stat.S_IFDIR | 0o755, 0, 0)
    steps = (
        step("/var", stat.S_IFDIR | 0o755),
        Step(b"/var/run", Node(stat.S_IFLNK | 0o777, 0, 0), DISK, target=b"/run"),
        step("/run", parent.mode),
    )
    facts: dict[str, object] = {
        "holders": (SYSTEMD, DOCKERD),
        "activation": SocketUnit("docker.socket", "docker.service", active=True),
    }
    return Facts(
        question,
        walk(*steps, end=step("/run/docker.sock", stat.S_IFSOCK | 0o660, 0, 50)),
        listing or Listing((listener(),)),
        security=security or Security(""),
        **(facts | more),  # type: ignore[arg-type]
    )


def missing(unit: SocketUnit | None = None) -> Facts:
    """Return the facts about a path without a file."""
    question = Question(b"/run/docker.sock", None, client())
    steps = (step("/run", stat.S_IFDIR | 0o755),)
    absent = walk(*steps, number=errno.ENOENT, stopped_at="/run/docker.sock")
    return Facts(question, absent, activation=unit)
