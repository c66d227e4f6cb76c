"""Remedies that `explain` offers, followed to the letter in random situations.

REMEDY_TRIALS=400 tries more of them, REMEDY_SEED=N others.
"""

import json
import os
import subprocess
import sys
from collections import Counter

from tests.integration.harness import CHECKOUT, needs_root

pytestmark = needs_root

COUNT = int(os.environ.get("REMEDY_TRIALS", "40"))
FIRST = int(os.environ.get("REMEDY_SEED", "0"))


def test_every_remedy_helps_and_else_the_reason_is_given() -> None:
    program = [sys.executable, "-m", "tests.integration.remedy_trials", str(FIRST), str(COUNT)]
    ran = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", *program],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    outcomes = [json.loads(line) for line in ran.stdout.splitlines()]
    kinds = Counter(each["kind"] for each in outcomes)
    sys.stderr.write(f"seeds {FIRST} to {outcomes[-1]['seed']}: {dict(kinds)}\n")
    wrong = [each for each in outcomes if each["wrong"]]
    assert not wrong, "\n".join(map(str, wrong))
    assert len(outcomes) == COUNT
    offered = sum(each["offered"] for each in outcomes)
    assert offered >= COUNT * 3 // 4, [each["text"] for each in outcomes if not each["offered"]]
