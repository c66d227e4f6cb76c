"""All attacks at once on the service under its shipped unit."""

import pytest

from tests.attacks.catalog import ATTACKS
from tests.attacks.machine import attacked
from tests.system.machine import Machine

pytestmark = pytest.mark.xdist_group("machine")

MIB = 1 << 20


def test_all_at_once_do_not_end_the_service(service: Machine) -> None:
    seen = attacked(service, list(ATTACKS), connections=8, seconds=15, rest=5)
    assert seen.pids[0] == seen.pids[1]
    assert seen.restarts == "0"
    assert not [failure for each in seen.during.values() for failure in each.failures]
    assert max(each.share(1) for each in seen.during.values()) < 30
    assert seen.memory[1] - seen.memory[0] < 512 * MIB
    assert seen.pause < 30  # WatchdogSec=
