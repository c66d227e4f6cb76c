"""A stage, in which a test creates a situation: servers of any kind, and clients that connect.

A client is a process that takes on ids, capabilities and namespaces, and then only connects on
request. So the verdict of `explain` about that process can be compared with the errno that the
kernel returns to it.
"""

import ctypes
import os
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from localechod.explain.client import of_process
from localechod.explain.facts import Question
from localechod.explain.report import Report, explain

NOBODY, GAMES, STAFF, DAEMON = 65534, 5, 50, 1
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
DAC_OVERRIDE, DAC_READ_SEARCH = 1 << 1, 1 << 2
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

_libc = ctypes.CDLL(None, use_errno=True)


def _called(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unshare(flags: int) -> None:
    """Enter new namespaces; mounts become private, so that none is visible outside."""
    _called(_libc.unshare(flags))
    if flags & CLONE_NEWNS:
        mount("--make-rprivate", "/")


def enter_user_namespace(mapped: str, before: Callable[[], None] = lambda: None) -> None:
    """Enter a new user namespace with these ids (uid_map and gid_map, user_namespaces(7)).

    Args:
        mapped: lines of: inside, outside, count. More than one's own id can be mapped only from
            outside, so a child process does it.
        before: a function to call before that.
    """
    reading, writing = os.pipe()
    process = os.getpid()
    helper = os.fork()
    if not helper:
        os.read(reading, 1)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process}/{name}").write_text(f"{mapped}\n", encoding="ascii")
        os._exit(0)
    before()
    unshare(CLONE_NEWUSER)
    os.write(writing, b"x")
    os.waitpid(helper, 0)


def become_root() -> None:
    """Become root of the user namespace, with all its capabilities."""
    os.setresgid(0, 0, 0)
    os.setgroups([])
    os.setresuid(0, 0, 0)


def mount(*words: str | Path) -> None:
    """Mount a file system, with the command of that name."""
    subprocess.run(["mount", *map(str, words)], check=True)


def become(uid: int, groups: Iterable[int] = (), gid: int | None = None, keep: int = 0) -> None:
    """Take on a user's ids, and keep these of root's capabilities."""
    _called(_libc.prctl(8, 1, 0, 0, 0))  # PR_SET_KEEPCAPS
    gid = uid if gid is None else gid
    os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    blocks = (ctypes.c_uint32 * 6)(keep, keep, 0, 0, 0, 0)
    _called(_libc.capset(ctypes.byref(header), ctypes.byref(blocks)))


def set_acl(path: Path, *entries: tuple[int, int, int]) -> None:
    """Give a file a POSIX ACL: (tag, permissions, id) of each entry, in the order of setfacl(1)."""
    packed = struct.pack("<I", 2)
    packed += b"".join(
        struct.pack("<HHI", tag, bits, id_ & 0xFFFFFFFF) for tag, bits, id_ in entries
    )
    os.setxattr(path, "system.posix_acl_access", packed)


class ClientProcess:
    """A process that connects on demand."""

    def __init__(self, enter: Callable[[], None]) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(20)
        self.pid = os.fork()
        if not self.pid:
            # A copy of a server's socket would keep it alive.
            os.closerange(3, theirs.fileno())
            os.closerange(theirs.fileno() + 1, 65536)
            _serve(theirs, enter)
        theirs.close()
        answer = self._ours.recv(1000)
        assert answer == b"ready", answer

    def connect(self, name: bytes, type_: int) -> int:
        """Connect without blocking, disconnect, and return the errno."""
        self._ours.send(struct.pack("=I", type_) + name)
        return int(struct.unpack("=I", self._ours.recv(1000))[0])

    def stop(self) -> None:
        """End the process; a second call does nothing."""
        if self._ours.fileno() >= 0:
            self._ours.close()
            os.waitpid(self.pid, 0)


def _serve(sock: socket.socket, enter: Callable[[], None]) -> NoReturn:
    try:
        enter()
        sock.send(b"ready")
        while question := sock.recv(1000):
            (type_,) = struct.unpack_from("=I", question)
            sock.send(struct.pack("=I", _connect(question[4:], type_)))
    except BaseException as error:  # noqa: BLE001 - a forked process must not return to pytest
        sock.send(repr(error).encode()[:900])
    os._exit(0)


def _connect(name: bytes, type_: int) -> int:
    """Call connect(2) itself, because Python refuses some names that the kernel accepts."""
    address = struct.pack("=H", socket.AF_UNIX) + name
    address += b"" if name.startswith(b"\0") or len(name) >= 108 else b"\0"
    with socket.socket(socket.AF_UNIX, type_ | socket.SOCK_NONBLOCK) as sock:
        failed = _libc.connect(sock.fileno(), address, len(address))
        return ctypes.get_errno() if failed else 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A connect: the client, the name and the socket type."""

    client: ClientProcess
    name: bytes
    type: int

    def kernel(self) -> int:
        """Return the errno of connect(2)."""
        return self.client.connect(self.name, self.type)

    def explain(self) -> Report:
        """Return the report of `explain`."""
        client = of_process(self.client.pid)
        return explain(Question(self.name, self.type, client, self.client.pid))


class Stage:
    """A directory, and everything that is created for one situation and removed after it."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.directory = Path(tempfile.mkdtemp(prefix="le-", dir="/tmp"))
        self.directory.chmod(0o755)
        stack.callback(shutil.rmtree, self.directory, ignore_errors=True)

    def folder(self, name: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Path:
        """Make a directory with exactly this mode."""
        path = self.directory / name
        path.mkdir(parents=True)
        os.chown(path, uid, gid)
        path.chmod(mode)
        return path

    def bind(
        self,
        path: Path | str = "s",
        mode: int = 0o666,
        uid: int = -1,
        gid: int = -1,
        kind: int = socket.SOCK_STREAM,
    ) -> socket.socket:
        """Bind a socket, without listening; -1: its owner or group is ours (chown(2))."""
        sock = self.stack.enter_context(socket.socket(socket.AF_UNIX, kind))
        name = self.directory / path
        sock.bind(str(name))
        os.chown(name, uid, gid)
        name.chmod(mode)
        return sock

    def listener(
        self,
        path: Path | str = "s",
        mode: int = 0o666,
        uid: int = -1,
        gid: int = -1,
        kind: int = socket.SOCK_STREAM,
        backlog: int = 100,
    ) -> socket.socket:
        """Bind a socket and listen."""
        sock = self.bind(path, mode, uid, gid, kind)
        sock.listen(backlog)
        return sock

    def stale(self, path: Path | str = "s", mode: int = 0o666) -> None:
        """Create a socket file whose server has ended."""
        self.bind(path, mode).close()

    def ask(
        self,
        name: Path | str | bytes = "s",
        uid: int = NOBODY,
        groups: Iterable[int] = (),
        kind: int = socket.SOCK_STREAM,
        enter: Callable[[], None] | None = None,
    ) -> Asked:
        """Start a client, by default an ordinary user, that connects to a name."""
        client = ClientProcess(enter or (lambda: become(uid, groups)))
        self.stack.callback(client.stop)
        raw = name if isinstance(name, bytes) else os.fsencode(self.directory / name)
        return Asked(client, raw, kind)

    def process(self, enter: Callable[[], None]) -> ClientProcess:
        """Start a process that calls a function and stays, as servers in containers do."""
        client = ClientProcess(enter)
        self.stack.callback(client.stop)
        return client
