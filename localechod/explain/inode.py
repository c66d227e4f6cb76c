"""The attributes of a file that decide about access: mode, owner, group, and POSIX ACL (acl(5)).

It also has the changes that chmod(1), chgrp(1) and setfacl(1) make of them.
"""

import stat
import struct
from dataclasses import dataclass, replace

# linux/posix_acl_xattr.h: a header with the version, then tag, permissions and id of each entry
_VERSION, _HEADER, _ENTRY = 2, struct.Struct("<I"), struct.Struct("<HHI")
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
"""The tags of ACL entries."""

_NO_ID = 2**32 - 1  # the id of an entry that names neither a user nor a group
_SHIFTS = {USER_OBJ: 6, GROUP_OBJ: 3, OTHER: 0}  # the bits of a class in a mode


@dataclass(frozen=True, slots=True)
class AclEntry:
    """One entry of a POSIX ACL; `id` is used for named users and groups only."""

    tag: int
    bits: int
    id: int


Acl = tuple[AclEntry, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """The attributes of a file or directory that the permission check uses."""

    mode: int
    uid: int
    gid: int
    acl: Acl | None = None

    @property
    def mask(self) -> int:
        """The bits that its ACL grants at most to named users and to groups."""
        found = (entry.bits for entry in self.acl or () if entry.tag == MASK)
        return next(found, (self.mode >> 3) & 7)

    def user_entry(self, uid: int) -> int:
        """Return the bits of the ACL entry of a named user; 0 where there is none."""
        found = (e.bits for e in self.acl or () if (e.tag, e.id) == (USER, uid))
        return next(found, 0)

    def with_user(self, uid: int, bits: int) -> "Node":
        """Return it with an ACL entry for a user, and these bits in the mask, which cuts it."""
        mask = self.mask | bits
        acl = self.acl or tuple(
            AclEntry(tag, (self.mode >> shift) & 7, _NO_ID) for tag, shift in _SHIFTS.items()
        )
        others = [e for e in acl if e.tag != MASK and (e.tag, e.id) != (USER, uid)]
        changed = [*others, AclEntry(USER, bits, uid), AclEntry(MASK, mask, _NO_ID)]
        acl = tuple(sorted(changed, key=lambda e: (e.tag, e.id)))
        return replace(self, mode=self.mode & ~stat.S_IRWXG | mask << 3, acl=acl)

    def with_bits(self, tag: int, bits: int) -> "Node":
        """Return it with more bits for its owner, its group or others, as chmod(1) adds them.

        The bits of the group are those of the mask where it has an ACL.
        """
        mode = self.mode | bits << _SHIFTS[tag]
        if self.acl is None:
            return replace(self, mode=mode)
        masked = any(entry.tag == MASK for entry in self.acl)
        meant = MASK if tag == GROUP_OBJ and masked else tag
        acl = tuple(replace(e, bits=e.bits | bits) if e.tag == meant else e for e in self.acl)
        return replace(self, mode=mode, acl=acl)


def parse_acl(packed: bytes) -> Acl:
    """Parse the extended attribute system.posix_acl_access.

    Raises:
        ValueError: the version is not 2, the only one so far, or the attribute is truncated.
    """
    if len(packed) < _HEADER.size or _HEADER.unpack_from(packed) != (_VERSION,):
        raise ValueError("not a POSIX ACL of version 2")
    body = packed[_HEADER.size :]
    if len(body) % _ENTRY.size:
        raise ValueError("a truncated POSIX ACL")
    return tuple(AclEntry(*entry) for entry in _ENTRY.iter_unpack(body))
