"""Connections of a process to a socket that had the name before: deleted, or replaced since."""

from localechod.explain import netns
from localechod.localsocket import diag
from localechod.localsocket.diag import DiagSocket
from localechod.localsocket.holders import sockets_of


def count(pid: int, path: bytes, file: tuple[int, int] | None) -> int:
    """Count a process's connections to a path that is not, or no longer, this file.

    A server's end has the name and the file that its listener was bound to.

    Args:
        pid: the process.
        path: the name to which the server bound.
        file: device and inode of what has the name now; None: nothing has.

    Returns:
        Their number; 0 also where the descriptors or the list of sockets cannot be read.
    """
    try:
        own = sockets_of(pid)
        by_inode = {each.inode: each for each in netns.run_inside(pid, diag.sockets)}
    except OSError:
        return 0
    servers = (by_inode.get(each.peer) for inode, each in by_inode.items() if inode in own)
    return sum(each is not None and _is_former(each, path, file) for each in servers)


def _is_former(server: DiagSocket, path: bytes, file: tuple[int, int] | None) -> bool:
    return server.name == path and (file is None or not server.is_bound_to(*file))
