"""Links in /proc/PID, for clients and processes in user namespaces that cannot be told apart.

`integration/situations/jumps.py` has the cases that the kernel can be asked about.
"""

from dataclasses import replace

import pytest

from localechod.explain.jump_checks import check_jump, may_follow
from localechod.explain.magic_links import Inspector, Owner

OURS, THEIRS, OTHER = 1, 2, 3
SYS_PTRACE = 1 << 19
PROCESS = Owner(4242, frozenset({5}), frozenset({5}), 0, dumpable=True, user_namespace=OURS)
CLIENT = Inspector(5, 5, 0, OURS, OURS)


@pytest.mark.parametrize(
    ("process", "client", "allowed"),
    [
        ({}, {}, True),
        ({}, {"gid": None}, False),
        ({"uids": frozenset({5, 0})}, {}, False),
        ({"dumpable": False}, {}, False),
        ({"permitted": 1}, {}, False),
        ({"permitted": 1}, {"effective": 3}, True),
        ({"user_namespace": THEIRS}, {}, False),
        ({"user_namespace": None}, {}, None),
        ({"user_namespace": None}, {"uid": 6}, False),
        ({"user_namespace": None}, {"effective": SYS_PTRACE}, None),
        ({"user_namespace": THEIRS}, {"effective": SYS_PTRACE}, True),
        ({"user_namespace": THEIRS}, {"effective": SYS_PTRACE, "user_namespace": OTHER}, None),
        ({"uids": {0}}, {"effective": SYS_PTRACE, "user_namespace": THEIRS}, False),
        ({"uids": {0}}, {"effective": SYS_PTRACE}, True),
    ],
)
def test_who_may_inspect_a_process(
    process: dict[str, object], client: dict[str, object], allowed: bool | None
) -> None:
    owner, inspector = replace(PROCESS, **process), replace(CLIENT, **client)  # type: ignore[arg-type]
    assert may_follow(owner, inspector) is allowed
    check = check_jump(b"/proc/4242/root", owner, inspector, "games")
    assert check.result == {True: "ok", False: "problem", None: "unknown"}[allowed]
    assert bool(check.remedy.text) == (not allowed)
