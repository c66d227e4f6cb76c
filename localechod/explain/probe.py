"""`--probe`: a real connect, with the client's credentials and in its namespaces.

It runs in a child process, because a process cannot undo a change of credentials or namespaces.
The server sees a client that disconnects at once.
"""

import ctypes
import errno
import os
import select
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from localechod.errors import LocalechodError, NotPermittedError
from localechod.explain.facts import Question
from localechod.explain.magic_links import inspector
from localechod.host.procfs import (
    IdRange,
    capabilities,
    id_inside,
    parse_id_map,
    parse_status,
)
from localechod.localsocket.types import TYPES

# linux/sched.h
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_PR_SET_KEEPCAPS = 8  # prctl(2)
_NO_GROUP = 65534  # a process has a gid; Debian's nogroup stands for none
_FULL = "full"
_CAPABILITY_VERSION_3 = 0x20080522  # capget(2): two blocks of 32 capabilities


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a connect.

    Attributes:
        number: the errno; 0 for success.
        is_full: no further message fits into the queue of the datagram socket.
    """

    number: int
    is_full: bool = False


def probe(question: Question) -> Outcome:
    """Connect without blocking, as the client of the question.

    Where the question has no type, stream, seqpacket and datagram are tried in this order.

    Raises:
        NotPermittedError: we are not root, and the client is another user or process.
        LocalechodError: the client's credentials or namespaces could not be set.
    """
    ourselves = question.is_ours
    if not ourselves and os.geteuid() != 0:
        raise NotPermittedError(
            "probing as another user failed: Operation not permitted (1)",
            "only root can use --probe with --as or --pid",
        )
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _run_child(question, writing, become=not ourselves)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        number, _, rest = pipe.read().decode("utf-8", "replace").partition(" ")
    os.waitpid(child, 0)
    if not number:
        cause = rest or "the probing process ended"
        raise LocalechodError(f"probing failed: {cause}", "leave out --probe")
    return Outcome(int(number), is_full=rest == _FULL)


def _run_child(question: Question, writing: int, *, become: bool) -> NoReturn:
    """Connect in the child; write the errno and _FULL; or, after a space, why there was none."""
    try:
        if become:
            _take_identity(question)
        outcome = _connect(question)
        answer = f"{outcome.number} {_FULL if outcome.is_full else ''}"
    except BaseException as error:  # noqa: BLE001 - a forked process must not return to its caller
        answer = f" {error}"
    os.write(writing, answer.encode())
    os._exit(0)


def _connect(question: Question) -> Outcome:
    wrong_type = errno.ECONNREFUSED if question.is_abstract else errno.EPROTOTYPE
    outcome = Outcome(0)
    for type_ in TYPES.values() if question.type is None else (question.type,):
        with socket.socket(socket.AF_UNIX, type_ | socket.SOCK_NONBLOCK) as sock:
            number = sock.connect_ex(question.name)
            outcome = Outcome(number, not number and _is_full(sock))
        if number != wrong_type:
            break
    return outcome


def _is_full(sock: socket.socket) -> bool:
    """Whether a message would have to wait: poll asks the queue of the peer of a datagram socket.

    That is unix_dgram_poll() in Linux's net/unix/af_unix.c. A new stream has space.
    """
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return not poll.poll(0)


def _take_identity(question: Question) -> None:
    """Take on the client's namespaces and credentials; keep root's as long as they are needed."""
    client = question.client
    libc = ctypes.CDLL(None, use_errno=True)
    uid, groups = client.uid, sorted(client.groups)
    # All of them: whether it may follow a link in /proc/PID depends on more than one.
    wanted = inspector(client).effective & _permitted()
    # Groups first, because a user namespace may forbid setgroups(2). They stay the same inside.
    os.setgroups(groups)
    gid = groups[0] if groups else _NO_GROUP
    os.setresgid(gid, gid, gid)
    if question.pid is not None:
        id_map = parse_id_map(Path(f"/proc/{question.pid}/uid_map").read_bytes())
        if _enter_namespaces(libc, question.pid):
            uid = _uid_inside(uid, id_map)
    _check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setresuid(uid, uid, uid)
    _set_capabilities(libc, wanted)


def _enter_namespaces(libc: ctypes.CDLL, pid: int) -> bool:
    """Enter a process's namespaces, root and working directory.

    Returns:
        Whether its user namespace is another one, with other ids.
    """
    directory = Path(f"/proc/{pid}")
    flags = os.O_RDONLY | os.O_CLOEXEC
    root, start = (os.open(directory / name, os.O_PATH | flags) for name in ("root", "cwd"))
    network, mounts, users = (
        os.open(directory / f"ns/{name}", flags) for name in ("net", "mnt", "user")
    )
    own_users = os.open("/proc/self/ns/user", flags)
    other_users = not os.path.sameopenfile(users, own_users)
    _check(libc.setns(network, _CLONE_NEWNET))
    _check(libc.setns(mounts, _CLONE_NEWNS))
    os.fchdir(root)
    os.chroot(".")
    os.fchdir(start)
    # Last: entering the other namespaces needs root of the user namespace that owns them.
    if other_users:
        _check(libc.setns(users, _CLONE_NEWUSER))
    return other_users


def _uid_inside(uid: int, id_map: tuple[IdRange, ...]) -> int:
    """Translate one of our uids into the process's user namespace.

    Raises:
        LocalechodError: it has no number there.
    """
    inside = id_inside(uid, id_map)
    if inside is None:
        raise LocalechodError(f"uid {uid} is not mapped in that user namespace")
    return inside


def _permitted() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    return capabilities(parse_status(status), "CapPrm")


def _set_capabilities(libc: ctypes.CDLL, wanted: int) -> None:
    """Make exactly these capabilities permitted and effective (capset(2))."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low, high = wanted & 0xFFFFFFFF, wanted >> 32
    blocks = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    _check(libc.capset(ctypes.byref(header), ctypes.byref(blocks)))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
