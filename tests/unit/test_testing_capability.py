"""What the marker of the pytest plugin asks of a user, and what it says where that is missing."""

import os

import pytest

from localechod.testing.capability import missing, other_users_missing

ALL = "CapEff:\t000001ffffffffff\n"
WIDE = "         0          0 4294967295\n"


def test_root_is_uid_0() -> None:
    uid = os.geteuid()
    assert missing(("root",)) == (f"needs root, and runs as uid {uid}" if uid else "")


@pytest.mark.parametrize(
    ("status", "uid_map", "reason"),
    [
        (ALL, WIDE, ""),
        (ALL, "0 1000 1\n1 100000 65536\n", ""),
        ("CapEff:\t0000000000000000\n", WIDE, "lacks CAP_SETUID and CAP_SETGID"),
        ("CapEff:\t0000000000000080\n", WIDE, "lacks CAP_SETGID"),
        (ALL, "0 1000 1\n", "this user namespace has a single one"),
    ],
)
def test_other_users_take_two_capabilities_and_ids(status: str, uid_map: str, reason: str) -> None:
    told = other_users_missing(status, uid_map)
    assert told.endswith(reason)
    assert bool(told) == bool(reason)


def test_an_unknown_capability_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match='no capability "roots"; there are: root, other_users'):
        missing(("roots",))
