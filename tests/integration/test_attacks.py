"""An ordinary user against the service: others are served, and memory and log stay small.

`./dev soak attacks` does the same for longer and measures it.
"""

import pytest

from tests.attacks.catalog import ATTACKS
from tests.attacks.trial import LINES, attempt
from tests.integration.harness import needs_root

# Far more than what holds where the processors are free (trial.SLOWER), and far less than what
# alice waited before: this machine may be busy.
GENEROUS = 10.0  # seconds


@needs_root
@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_an_attack_costs_the_others_nothing(name: str) -> None:
    trial = attempt([name], connections=16, seconds=1.0, rest=1.0)
    assert not trial.echoes.failures
    assert not trial.statuses.failures
    assert len(trial.echoes.times) > 20
    assert trial.echoes.share(1) < GENEROUS
    assert trial.statuses.share(1) < GENEROUS
    assert trial.during.most_memory - trial.before.memory < ATTACKS[name].memory
    assert trial.during.lines + trial.after.lines <= LINES * ATTACKS[name].users
