"""The check of a file system that has a server: FUSE, NFS and others.

Of FUSE, the kernel lets only the user who mounted it use it, without the option allow_other. It
checks the modes only with the option default_permissions (fuse_permission() in Linux's
fs/fuse/dir.c). The server may refuse any access all the same.
"""

import errno

from localechod.explain.access import Ruling
from localechod.explain.check import Check
from localechod.explain.client import Client
from localechod.explain.mounts import Mount
from localechod.explain.remedy import advice
from localechod.text import escape

_ASK = advice("use --probe; ask the administrator of that server")


def check_server_of_files(
    name: str, shown: str, mount: Mount | None, client: Client, ruling: Ruling
) -> Check | None:
    """Check one file or directory; None where the modes decide.

    Args:
        name: of the check.
        shown: the file, escaped.
        mount: that it is on; None where that is not known.
        client: the client.
        ruling: what the modes say.
    """
    if mount is None or not mount.has_server:
        return None
    kind = escape(mount.kind)
    if closed := check_user_of_files(name, shown, mount, client):
        return closed
    by_modes = not mount.is_fuse or mount.default_permissions
    if by_modes and not (ruling.allowed and ruling.certain):
        if mount.is_fuse:
            return None
        text = f"{shown}: its server ({kind}) checks permissions, regardless of the modes shown"
        return Check(name, "unknown", text, errno.EACCES, _ASK)
    return Check(
        name,
        "unknown",
        f"{shown}: its server ({kind}) may refuse it, regardless of the modes shown",
        errno.EACCES,
        _ASK,
        unless=f"the server of {escape(mount.point)} ({kind}) forbids it",
    )


def check_user_of_files(name: str, shown: str, mount: Mount | None, client: Client) -> Check | None:
    """Check whether the client may use a FUSE file system at all; None where it may, or perhaps.

    In a mount of another user namespace, the ids are those of that namespace.
    """
    if mount is None or mount.user is None or client.is_foreign:
        return None
    uid, gid = mount.user
    if client.uid == uid and gid in client.groups:
        return None
    owner, kind = client.user_name(uid), escape(mount.kind)
    detail = f"{shown}: only {owner} may use this {kind} file system, mounted without allow_other"
    remedy = advice(f"mount it with the option allow_other, or run the client as {owner}")
    return Check(name, "problem", detail, errno.EACCES, remedy)
