"""The permission check; test_explain_property compares its decisions with real connects."""

import stat
import struct
from dataclasses import replace

import pytest

from localechod.explain.access import Want, decide
from localechod.explain.inode import AclEntry, Node, parse_acl
from tests.unit.explain_fakes import client

HEADER = struct.pack("<I", 2)


def test_an_acl_is_read_as_setfacl_writes_it() -> None:
    packed = HEADER + struct.pack("<HHI", 2, 6, 33) + struct.pack("<HHI", 0x20, 4, 2**32 - 1)
    assert parse_acl(packed) == (AclEntry(2, 6, 33), AclEntry(0x20, 4, 2**32 - 1))


@pytest.mark.parametrize("packed", [b"", struct.pack("<I", 3), HEADER + b"123"])
def test_another_attribute_than_an_acl_of_version_2_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="POSIX ACL"):
        parse_acl(packed)


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (Node(0o600, 5, 0), "by the bits for its owner"),
        (Node(0o660, 0, 50), "by the bits for group staff"),
        (Node(0o606, 0, 0), "by the bits for others"),
        (Node(0o660, 0, 0, (AclEntry(2, 2, 5),)), "by its ACL for user games"),
        (Node(0o660, 0, 50, (AclEntry(4, 2, 0),)), "by its ACL for group staff"),
        (Node(0o660, 0, 0, (AclEntry(8, 2, 50),)), "by its ACL for group staff"),
        (Node(0o660, 0, 0, (AclEntry(0x20, 2, 0),)), "by its ACL for others"),
    ],
)
def test_the_rule_that_decides_is_named(node: Node, why: str) -> None:
    ruling = decide(node, client(5, 50), Want.WRITE)
    assert (ruling.allowed, ruling.why) == (True, why)


def test_a_mask_that_denies_a_permission_is_named() -> None:
    node = Node(0o640, 0, 0, (AclEntry(2, 6, 5), AclEntry(0x10, 4, 0)))
    ruling = decide(node, client(), Want.WRITE)
    assert (ruling.allowed, ruling.why) == (
        False,
        "by its ACL for user games, limited by the ACL mask",
    )


def test_capabilities_are_considered_last_and_only_for_files_with_mapped_ids() -> None:
    node = Node(stat.S_IFSOCK, 1000, 0)
    able = replace(client(), dac_override=True)
    assert decide(node, able, Want.WRITE).why == "by CAP_DAC_OVERRIDE"
    confined = replace(able, uids=(range(10),))
    ruling = decide(node, confined, Want.WRITE)
    assert not ruling.allowed
    assert "CAP_DAC_OVERRIDE does not count" in ruling.why


def test_cap_dac_read_search_is_for_directories_only() -> None:
    able = replace(client(), dac_read_search=True)
    directory, file = Node(stat.S_IFDIR, 0, 0), Node(stat.S_IFSOCK, 0, 0)
    assert decide(directory, able, Want.SEARCH).why == "by CAP_DAC_READ_SEARCH"
    assert not decide(file, able, Want.WRITE).allowed
