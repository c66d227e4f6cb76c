"""Mount tables, as the kernel writes them."""

import os
from pathlib import Path

from localechod.explain import mounts

TABLE = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda ro,discard
90 27 254:0 /run/a.sock//deleted /mnt/with\040blank rw,relatime - ext4 /dev/vda rw
91 27 0:50 / /srv rw - nfs4 host:/srv rw,vers=4.2
92 27 0:51 / /home/b/sshfs rw - fuse.sshfs b@host:/ rw,user_id=1000
"""


def test_a_table_is_read_with_its_optional_fields_and_escapes() -> None:
    found = mounts.parse(TABLE)
    assert list(found) == [22, 27, 90, 91, 92]
    assert found[27] == mounts.Mount(
        os.makedev(254, 0), b"/", b"/", "ext4", read_only=True, is_locked=True
    )
    assert found[90].point == b"/mnt/with blank"
    assert [number for number, mount in found.items() if mount.is_deleted] == [90]
    assert [number for number, mount in found.items() if mount.has_server] == [91, 92]
    assert (found[91].user, found[92].user) == (None, (1000, 0))


def test_a_carriage_return_in_a_mount_point_does_not_end_a_line() -> None:
    table = mounts.parse(b"93 27 0:52 / /srv/a\r\rb rw - tmpfs tmpfs rw\n" + TABLE)
    assert len(table) == 6
    assert table[93].point == b"/srv/a\r\rb"


def test_our_own_mounts_are_found_by_descriptors() -> None:
    table = mounts.table(os.getpid())
    with Path("/proc/version").open("rb") as file:
        mount = mounts.of_descriptor(file.fileno(), table)
        assert mounts.of_descriptor(file.fileno(), {}) is None
    assert mount is not None
    assert (mount.kind, mount.point) == ("proc", b"/proc")
