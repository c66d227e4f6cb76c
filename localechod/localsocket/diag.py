"""The kernel's own list of local sockets: UNIX_DIAG over netlink (sock_diag(7)).

/proc/net/unix prints one line per socket, and a name may contain newlines: every user can forge
a listener there that does not exist. netlink delivers names with their length, so it cannot be
forged.

It may be incomplete. It lists only this network namespace, so absence is not proof. And a single
socket whose record is larger than the reply buffer ends the whole list early, without an error:
a listener with a thousand waiting clients does that (ICONS, four bytes each) when it happens to
come first, and `ss -xae` then lists too few sockets. So the waiting clients are requested
separately, and only by `sockets`: a decision about a file (`bound_to`) never depends on them.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from localechod.localsocket import netlink
from localechod.localsocket.holders import Holder, find_holders

STATE_ESTABLISHED = 1  # net/tcp_states.h; AF_UNIX uses TCP's numbers
STATE_LISTEN = 10
_RCV_SHUTDOWN, _SEND_SHUTDOWN = 1, 2  # net/sock.h

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20

# linux/unix_diag.h: the flags of a request, and the attributes of a reply
_SHOW_NAME, _SHOW_VFS, _SHOW_PEER, _SHOW_ICONS, _SHOW_RQLEN, _SHOW_UID = 1, 2, 4, 8, 0x10, 0x40
_NAME, _VFS, _PEER, _ICONS, _RQLEN, _SHUTDOWN, _UID = 0, 1, 2, 3, 4, 6, 7
_SHOW_USUAL = _SHOW_NAME | _SHOW_VFS | _SHOW_PEER | _SHOW_RQLEN | _SHOW_UID

_ANY_STATE = _ANY_COOKIE = 0xFFFFFFFF

# unix_diag_req: family, protocol, pad, states, inode, show, cookie[2]
_REQUEST = struct.Struct("=BBHIIIII")
# unix_diag_msg: family, type, state, pad, inode, cookie[2]
_MESSAGE = struct.Struct("=BBBBIII")

_DATAGRAMS = (1, socket.SOCK_DGRAM)  # the offset and the value of the type

_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class DiagSocket:
    """One local socket. An accepted connection has the name and the file of its listener.

    Attributes:
        name: as in sun_path; None if unnamed.
        device: of its file, in os.makedev form.
        peer: the inode of its peer. 0 where there is none, or where the connection still waits to
            be accepted: then a listener's `pending` has this `inode`.
        queue: of a listener, the connections that wait; of others, the bytes to be read (for a
            datagram socket, of the next message only).
        backlog: of a listener, the limit of `queue`; of others, the bytes sent and not yet read.
        has_peer: stays True for a datagram socket whose peer has been closed.
        is_shut: it receives nothing more (shutdown(2), SHUT_RD).
        has_ended: it sends nothing more (SHUT_WR).
    """

    type: int
    state: int
    inode: int
    name: bytes | None
    device: int | None
    file_inode: int | None
    peer: int
    queue: int
    backlog: int
    pending: tuple[int, ...]
    uid: int | None
    has_peer: bool = False
    is_shut: bool = False
    has_ended: bool = False

    def is_bound_to(self, device: int, file_inode: int) -> bool:
        """Compare with a file; the kernel reports only 32 bits of its inode number."""
        return (self.device, self.file_inode) == (device, file_inode & 0xFFFFFFFF)


def sockets() -> list[DiagSocket]:
    """List every local socket of this network namespace.

    Raises:
        OSError: netlink is not available (a sandbox without AF_NETLINK, a kernel without
            UNIX_DIAG), replied with an error, or did not reply in time.
    """
    found = _query(_ANY_STATE, _SHOW_USUAL)
    waiting = {
        listener.inode: listener.pending
        for listener in _query(1 << STATE_LISTEN, _SHOW_ICONS, large_buffer=True)
    }
    # A copy of each socket would take as long as the kernel's list.
    return [
        replace(each, pending=waiting[each.inode]) if each.inode in waiting else each
        for each in found
    ]


def bound_to(device: int, file_inode: int) -> list[DiagSocket]:
    """List the sockets that were bound as this file, whatever its name is by now.

    Args:
        device: of the file, from `localsocket.entry.PinnedEntry.diag_identity`: st_dev differs
            from it on overlayfs and btrfs.
        file_inode: of the file.

    Raises:
        OSError: as for `sockets`.
    """
    return _query(_ANY_STATE, _SHOW_USUAL, lambda each: each.is_bound_to(device, file_inode))


def named(name: bytes) -> list[DiagSocket]:
    """List the sockets that were bound to this name; for a path, it is no proof.

    Raises:
        OSError: as for `sockets`.
    """
    return _query(_ANY_STATE, _SHOW_USUAL, lambda each: each.name == name)


def of_socket(sock: socket.socket) -> DiagSocket:
    """Return the kernel's view of one of our own sockets.

    Raises:
        OSError: as for `sockets`; ENOENT where the kernel does not find it.
    """
    return of_inode(os.fstat(sock.fileno()).st_ino)


def of_inode(inode: int) -> DiagSocket:
    """Return one socket by its own inode number, without listing all of them.

    Raises:
        OSError: as for `sockets`; ENOENT where this network namespace has none.
    """
    return _query(_ANY_STATE, _SHOW_USUAL, inode=inode)[0]


def waiting(inode: int) -> tuple[int, ...]:
    """Return the inodes of the clients that wait in a listener's queue, the first one first.

    0 stands for a client that has gone. More than a thousand do not fit in the kernel's reply.

    Raises:
        OSError: as for `sockets`; ENOENT where there is no such socket; EMSGSIZE where they do not
            fit.
    """
    return _query(_ANY_STATE, _SHOW_ICONS, inode=inode)[0].pending


def datagrams() -> list[DiagSocket]:
    """List the datagram sockets that have a name; `queue` is the length of the next message.

    It is 0 where nothing is unread, but also where the next message is empty.

    Raises:
        OSError: as for `sockets`.
    """
    show = _SHOW_NAME | _SHOW_RQLEN | _SHOW_UID
    return _query(
        _ANY_STATE, show, lambda each: each.type == socket.SOCK_DGRAM and each.name is not None
    )


def datagrams_named(names: Collection[bytes]) -> dict[bytes, bytes]:
    """Return the kernel's records of the datagram sockets that have these abstract names.

    `decode` gives their owners. To decode all sockets, as `datagrams` does, takes many times as
    long. A record has the cookie of its socket, so an equal one later is about the same socket.

    Raises:
        OSError: as for `sockets`.
    """
    found = {}
    for record in _records(_ANY_STATE, _SHOW_NAME | _SHOW_UID, only=_DATAGRAMS):
        # net/unix/diag.c puts the name first. A socket without one has another attribute there.
        length, kind = netlink.ATTRIBUTE.unpack_from(record, _MESSAGE.size)
        name = record[_MESSAGE.size + netlink.ATTRIBUTE.size : _MESSAGE.size + length]
        if kind == _NAME and name in names:
            found[name] = record
    return found


def holders(socket_inode: int) -> list[Holder]:
    """List the processes that hold one socket, by pid; `find_holders` takes many at once."""
    return find_holders({socket_inode}).holders[socket_inode]


def _query(
    states: int,
    show: int,
    wanted: Callable[[DiagSocket], bool] = lambda _: True,
    *,
    inode: int = 0,
    large_buffer: bool = False,
) -> list[DiagSocket]:
    records = _records(states, show, inode=inode, large_buffer=large_buffer)
    return [each for each in map(decode, records) if wanted(each)]


def _records(
    states: int,
    show: int,
    *,
    inode: int = 0,
    large_buffer: bool = False,
    only: tuple[int, int] | None = None,
) -> list[bytes]:
    """Request the list, and again where the kernel says that it changed meanwhile."""
    with netlink.NetlinkSocket(_NETLINK_SOCK_DIAG) as link:
        if large_buffer:
            # The kernel's first reply is at most 4 KiB, later ones as large as our last read. A
            # request for no state has an empty reply, which is read with our full buffer.
            list(_request(link, 0, 0, 0))
        for _ in range(_ATTEMPTS):
            try:
                return list(_request(link, states, show, inode, only))
            except InterruptedError:
                continue
    raise InterruptedError(errno.EINTR, "the list of sockets changed each time it was read")


def _request(
    link: netlink.NetlinkSocket,
    states: int,
    show: int,
    inode: int,
    only: tuple[int, int] | None = None,
) -> Iterator[bytes]:
    """Request all sockets in these states, or one of them by its inode."""
    question = _REQUEST.pack(socket.AF_UNIX, 0, 0, states, inode, show, _ANY_COOKIE, _ANY_COOKIE)
    return link.ask(_SOCK_DIAG_BY_FAMILY, question, dump=not inode, only=only)


def decode(payload: bytes) -> DiagSocket:
    """Return what a record says.

    Raises:
        OSError: an attribute is malformed (EBADMSG).
    """
    _, type_, state, _, inode, _, _ = _MESSAGE.unpack_from(payload)
    found = netlink.attributes(payload[_MESSAGE.size :])
    queue, backlog = struct.unpack("=II", found.get(_RQLEN, bytes(8)))
    name = found.get(_NAME)
    if name is not None and not name.startswith(b"\0"):
        name = name.removesuffix(b"\0")  # a path is reported with its terminating NUL
    device = file_inode = None
    if _VFS in found:
        file_inode, encoded = struct.unpack("=II", found[_VFS])
        device = os.makedev(encoded >> 20, encoded & 0xFFFFF)  # linux/kdev_t.h: MINORBITS is 20
    pending = found.get(_ICONS, b"")
    shutdown = found.get(_SHUTDOWN, b"\0")[0]
    return DiagSocket(
        type=type_,
        state=state,
        inode=inode,
        name=name,
        device=device,
        file_inode=file_inode,
        peer=_number(found.get(_PEER)) or 0,
        queue=queue,
        backlog=backlog,
        pending=struct.unpack(f"={len(pending) // 4}I", pending),
        uid=_number(found.get(_UID)),
        has_peer=_PEER in found,
        is_shut=bool(shutdown & _RCV_SHUTDOWN),
        has_ended=bool(shutdown & _SEND_SHUTDOWN),
    )


def _number(packed: bytes | None) -> int | None:
    return None if packed is None else int(struct.unpack("=I", packed)[0])
