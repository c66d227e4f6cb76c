"""The kernel's permission check of one inode: mode bits, POSIX ACL, capabilities.

The rules are those of generic_permission() in Linux's fs/namei.c and posix_acl_permission() in
fs/posix_acl.c; path_resolution(7), acl(5) and capabilities(7) describe them. The only I/O is the
look-up of user and group names for the reasons.

Inside a user namespace, all ids that it does not map are shown as the same overflow id. The check
is then made for every owner and group that the file may have. Where the results differ, the
decision is uncertain.
"""

import enum
import stat
from dataclasses import dataclass, replace

from localechod.explain.client import Client
from localechod.explain.inode import GROUP, GROUP_OBJ, MASK, OTHER, USER, Acl, AclEntry, Node

# An id that no user has. In an ACL it stands for an id that our user namespace does not map.
_UNMAPPED = 2**32 - 1


class Want(enum.IntEnum):
    """The permission that an operation needs on an inode, as a mode bit."""

    WRITE = 2
    SEARCH = 1

    @property
    def letter(self) -> str:
        """The letter of chmod(1) and setfacl(1)."""
        return "w" if self is Want.WRITE else "x"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision, and the rule that it is based on.

    Attributes:
        allowed: the permission is granted.
        why: the rule, as the end of a sentence such as "may write, WHY".
        certain: False where it depends on ids that our own user namespace does not map. Then
            `allowed` holds for a file whose owner and group are not the client's.
    """

    allowed: bool
    why: str
    certain: bool = True


def decide(node: Node, client: Client, want: Want) -> Ruling:
    """Decide as the kernel does, as far as owner and group are visible (user_namespaces(7))."""
    rulings = [_decide(each, client, want) for each in _readings(node, client)]
    last = rulings[-1]
    certain = all(each.allowed == last.allowed for each in rulings)
    return replace(last, certain=certain)


def _readings(node: Node, client: Client) -> list[Node]:
    """Return every node that may be shown to us like this one; the last one is another user's."""
    if client.overflow_ids is None:
        return [node]
    uid, gid = client.overflow_ids
    uids = [node.uid, _UNMAPPED] if node.uid == uid else [node.uid]
    gids = [node.gid, _UNMAPPED] if node.gid == gid else [node.gid]
    acls = [*_acl_readings(node.acl or (), uid, gid), node.acl]
    return [replace(node, uid=u, gid=g, acl=acl) for u in uids for g in gids for acl in acls]


def _acl_readings(acl: Acl, uid: int, gid: int) -> list[Acl]:
    """Return an ACL for each entry with an unmapped id, in which that id is the client's."""
    shown = {USER: uid, GROUP: gid}
    return [
        (*acl[:place], replace(entry, id=shown[entry.tag]), *acl[place + 1 :])
        for place, entry in enumerate(acl)
        if entry.tag in shown and entry.id == _UNMAPPED
    ]


def _decide(node: Node, client: Client, want: Want) -> Ruling:
    """Decide; capabilities are considered last, only where the bits deny the permission."""
    ruling = _by_bits(node, client, want)
    if ruling.allowed:
        return ruling
    searching = want is Want.SEARCH and stat.S_ISDIR(node.mode)
    capability = (
        "CAP_DAC_OVERRIDE"
        if client.dac_override
        else "CAP_DAC_READ_SEARCH"
        if searching and client.dac_read_search
        else ""
    )
    if not capability:
        return ruling
    if client.is_mapped(node.uid, node.gid):
        return Ruling(allowed=True, why=f"by {capability}")
    return Ruling(
        allowed=False,
        why=f"{ruling.why}; {capability} does not count, because its owner or group is not "
        "mapped in the user namespace of the client",
    )


def _by_bits(node: Node, client: Client, want: Want) -> Ruling:
    if node.uid == client.uid:
        return _ruling(node.mode >> 6, want, "by the bits for its owner")
    # Without a group bit, the ACL mask grants nothing, and the kernel does not read the ACL.
    if node.acl is not None and node.mode & stat.S_IRWXG:
        return _by_acl(node, node.acl, client, want)
    if node.gid in client.groups:
        return _ruling(node.mode >> 3, want, f"by the bits for group {client.group_name(node.gid)}")
    return _ruling(node.mode, want, "by the bits for others")


def _by_acl(node: Node, acl: Acl, client: Client, want: Want) -> Ruling:
    mask = next((entry.bits for entry in acl if entry.tag == MASK), 7)
    member = False
    for entry in acl:
        if entry.tag == USER and entry.id == client.uid:
            return _masked(entry, mask, want, f"by its ACL for user {client.user_name(entry.id)}")
        if entry.tag in {GROUP_OBJ, GROUP}:
            gid = node.gid if entry.tag == GROUP_OBJ else entry.id
            if gid in client.groups:
                member = True
                # One group with the permission is enough; the mask then decides.
                if entry.bits & want:
                    why = f"by its ACL for group {client.group_name(gid)}"
                    return _masked(entry, mask, want, why)
    if member:
        return Ruling(allowed=False, why="by its ACL for the groups of the client")
    other = next((entry.bits for entry in acl if entry.tag == OTHER), 0)
    return _ruling(other, want, "by its ACL for others")


def _masked(entry: AclEntry, mask: int, want: Want, why: str) -> Ruling:
    cut = entry.bits & want and not mask & want
    return _ruling(entry.bits & mask, want, f"{why}, limited by the ACL mask" if cut else why)


def _ruling(bits: int, want: Want, why: str) -> Ruling:
    return Ruling(allowed=bool(bits & want), why=why)
