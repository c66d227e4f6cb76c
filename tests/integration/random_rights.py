"""Random situations in which a client lacks permissions, made from a seed.

A tree of directories with a socket at its end: modes, owners, ACLs with masks, links, odd names.
A client: of an account, with fewer or more groups than it has, without an account, with one
capability, in a user namespace, below another mount or root, or named by `--as` alone.
"""

import os
import pwd
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from localechod.explain.client import of_process, of_user
from localechod.explain.facts import Question
from localechod.explain.report import Report, explain
from tests.integration.stage import (
    CLONE_NEWNS,
    DAC_READ_SEARCH,
    GROUP,
    GROUP_OBJ,
    MASK,
    OTHER,
    USER,
    USER_OBJ,
    ClientProcess,
    Stage,
    become,
    become_root,
    enter_user_namespace,
    mount,
    set_acl,
    unshare,
)

ALICE, BOB, STRANGER = 20001, 20002, 20003  # the last has no account
CREW, TEAM, DOCKER, DISK, NAMELESS = 20010, 20011, 20012, 20013, 20014
OWN = {ALICE: 20001, BOB: 20002}  # primary groups
MAPPED = 100000  # root of the user namespace
FIRST_GROUPS = {ALICE: {OWN[ALICE], CREW}, BOB: {OWN[BOB]}}  # in the account database

_DIRECTORIES = [0o755, 0o755, 0o755, 0o750, 0o750, 0o700, 0o711, 0o710, 0o701, 0o705, 0o766, 0o000]
_SOCKETS = [0o666, 0o660, 0o660, 0o660, 0o600, 0o606, 0o622, 0o620, 0o755, 0o066, 0o000]
_NAMES = [
    b"a",
    b"a b",
    b"it's",
    b"-x",
    b"\xff\xfe",
    b"a\nb",
    "Stra\u00dfe".encode(),
    b"$(id)`",
    b"\\t",
]


@dataclass
class Client:
    """A client, and how it starts.

    Attributes:
        kind: the way it runs, for the report of a failure.
        user: the uid.
        groups: what setgroups(2) is called with; the first is the gid.
        place: namespaces and root to enter before.
        keep: capabilities.
        mapped: it is root of a user namespace.
        named: the argument of --as; "" where the process is asked about.
    """

    kind: str
    user: int
    groups: list[int]
    place: Callable[[], None] = field(default=lambda: None)
    keep: int = 0
    mapped: bool = False
    named: str = ""

    def enter(self) -> None:
        if self.mapped:
            # Groups first: inside, those that are not mapped cannot be set.
            enter_user_namespace(f"0 {MAPPED} 1000\n{CREW} {CREW} 2", self.place)
            become_root()
            os.setgroups(self.groups[1:])
            return
        self.place()
        become(self.user, self.groups[1:], self.groups[0], self.keep)

    def renewed(self) -> "Client":
        """Return it as it is after a new login."""
        account = pwd.getpwuid(self.user)
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        return replace(self, groups=[account.pw_gid, *groups], keep=0)


@dataclass
class Case:
    """A situation.

    Attributes:
        name: the name that the client connects to.
        target: the same file without the link at its end; it is `name` where there is none.
        client: the client.
    """

    stage: Stage
    name: bytes
    target: bytes
    client: Client
    process: ClientProcess = field(init=False)

    def __post_init__(self) -> None:
        self.start(self.client)

    def start(self, client: Client) -> None:
        """Start the client, or start it anew as another one."""
        self.client = client
        self.process = self.stage.process(client.enter)

    def connect(self) -> int:
        """Let the client connect; return the errno."""
        return self.process.connect(self.name, 1)

    def explain(self) -> Report:
        """Return the report of `explain`."""
        if self.client.named:
            return explain(Question(self.name, None, of_user(self.client.named)))
        pid = self.process.pid
        return explain(Question(self.name, None, of_process(pid), pid))


def make(stage: Stage, seed: int) -> Case:
    """Make the situation of a seed; the client may well be able to connect."""
    dice = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    tree = stage.folder("tree")
    flavour = dice.choice(["plain"] * 9 + ["ramfs", "ro", "ro", "elsewhere", "chroot", "locked"])
    if flavour == "ramfs":
        mount("-t", "ramfs", "ramfs", tree)
        stage.stack.callback(_unmount, tree)
        tree.chmod(0o755)
    places = [tree]
    for _ in range(dice.randint(1, 3)):
        path = places[-1] / os.fsdecode(dice.choice(_NAMES))
        path.mkdir()
        places.append(path)
    end = places[-1] / os.fsdecode(dice.choice([b"s", b"s", *_NAMES]))
    name = target = end
    stage.listener(end)
    where = dice.choice(["", "", "", "link", "directory", "sticky"])
    if where == "link":
        name = stage.folder("links") / "l"
        name.symlink_to(dice.choice([end, Path("../tree") / end.relative_to(tree)]))
    elif where == "directory":
        name = stage.folder("links") / "d"
        name.symlink_to(places[-1])
        name /= end.name
        target = name
    elif where == "sticky":
        name = stage.folder("drop", 0o1777) / "l"
        name.symlink_to(Path("../tree") / end.relative_to(tree))
        os.chown(name, dice.choice([0, BOB, STRANGER]), 0, follow_symlinks=False)
    client = _client(dice)
    _rights(dice, end, client, _SOCKETS, acls=flavour != "ramfs")
    for path in reversed(places[1:]):
        _rights(dice, path, client, _DIRECTORIES, acls=flavour != "ramfs")
    return _placed(stage, flavour, client, name, target)


def _client(dice: random.Random) -> Client:
    user = dice.choice([ALICE, BOB])
    login = [OWN[user], *sorted(FIRST_GROUPS[user])]
    extra = dice.choice([CREW, TEAM, NAMELESS])
    return dice.choice(
        [
            Client("login", user, login),
            Client("login", user, login),
            Client("fewer groups", user, [OWN[user]]),
            Client("another gid", user, [extra]),
            Client("more groups", user, [*login, extra]),
            Client("no account", STRANGER, [STRANGER, extra]),
            Client("bare root", 0, [0]),
            Client("capable", user, login, keep=DAC_READ_SEARCH),
            Client("mapped root", MAPPED, [MAPPED, dice.choice([0, 5])], mapped=True),
            Client("--as", user, login, named=str(user)),
            Client("--as numbers", STRANGER, [extra, TEAM], named=f"{STRANGER}:{extra},{TEAM}"),
        ]
    )


def _rights(
    dice: random.Random, path: Path, client: Client, modes: list[int], *, acls: bool
) -> None:
    owner = dice.choice([0, 0, client.user, BOB, MAPPED + 5])
    groups = [0, CREW, CREW, TEAM, TEAM, DOCKER, DISK, NAMELESS, client.groups[-1], MAPPED]
    group = dice.choice(groups)
    os.chown(path, owner, group)
    path.chmod(dice.choice([*modes, dice.randrange(0o1000)]))
    if acls and dice.random() < 0.35:
        users = dice.sample([client.user, ALICE, BOB, STRANGER], dice.randint(0, 2))
        groups = dice.sample([CREW, TEAM, DOCKER, NAMELESS, client.groups[-1]], dice.randint(0, 2))
        entries = [(USER_OBJ, -1), *((USER, each) for each in sorted(set(users)))]
        entries += [(GROUP_OBJ, -1), *((GROUP, each) for each in sorted(set(groups)))]
        entries += [(MASK, -1), (OTHER, -1)]
        set_acl(path, *((tag, dice.randint(0, 7), id_) for tag, id_ in entries))


def _placed(stage: Stage, flavour: str, client: Client, name: Path, target: Path) -> Case:
    """Put the client below other mounts or another root."""
    here, seen = stage.directory, stage.folder("seen")
    inside = os.fsencode
    if flavour == "chroot" and not client.named and not client.mapped:
        client = replace(client, kind=f"{client.kind}, chroot", place=lambda: _change_root(here))
        name, target = (Path("/") / each.relative_to(here) for each in (name, target))
    elif flavour in {"ro", "elsewhere"} and not client.named and not client.mapped:
        client = replace(
            client,
            kind=f"{client.kind}, {flavour}",
            place=lambda: _bind(here, seen, read_only=flavour == "ro"),
        )
        name, target = (seen / each.relative_to(here) for each in (name, target))
    elif flavour == "locked":
        tree = here / "tree"
        mount("--bind", tree, tree)
        stage.stack.callback(_unmount, tree)
        mount("-o", "remount,bind,ro", tree)
    return Case(stage, inside(name), inside(target), client)


def _bind(source: Path, target: Path, *, read_only: bool) -> None:
    unshare(CLONE_NEWNS)
    mount("--bind", source, target)
    if read_only:
        mount("-o", "remount,bind,ro", target)


def _change_root(path: Path) -> None:
    os.chroot(path)
    os.chdir("/")


def _unmount(path: Path) -> None:
    subprocess.run(["umount", "--lazy", path], check=True)
