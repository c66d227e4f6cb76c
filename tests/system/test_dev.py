"""`./dev run`, as root and as another user, on a machine without the service's account."""

import pytest

from tests.system.conftest import needs_environment
from tests.system.machine import CHECKOUT, Machine

pytestmark = pytest.mark.xdist_group("machine")

ANSWERED = """\
$ localechoctl send stream hello
Hi, hello

$ localechoctl send datagram hello
Hi, hello

$ localechoctl explain stream
"""


def test_root_runs_it_as_an_account_that_is_there_already(machine: Machine) -> None:
    needs_environment()
    accounts, before = machine.run("cat", "/etc/passwd"), machine.written()
    shown = machine.run(f"{CHECKOUT}/dev", "run")
    assert "user nobody" in shown
    assert ANSWERED in shown
    assert machine.run("cat", "/etc/passwd") == accounts
    assert not [path for path in machine.written() - before if "/localechod." in path]


def test_an_ordinary_user_runs_it_with_his_own_rights(machine: Machine) -> None:
    needs_environment()
    if machine.process("test", "-x", f"{CHECKOUT}/dev", user="nobody").returncode != 0:
        pytest.skip("the checkout lies where an ordinary user may not look")
    shown = machine.run(f"{CHECKOUT}/dev", "run", user="nobody")
    assert "nobody" in shown
    assert ANSWERED in shown


def test_run_twice_changes_nothing(machine: Machine) -> None:
    needs_environment()
    machine.run(f"{CHECKOUT}/dev", "run")
    before = machine.written()
    said = machine.process(f"{CHECKOUT}/dev", "run").stderr
    assert {path for path in machine.written() - before if "/__pycache__" not in path} == set()
    assert "making .venv" not in said


def test_a_word_that_it_does_not_know_is_answered_with_the_ones_it_knows(machine: Machine) -> None:
    asked = machine.process(f"{CHECKOUT}/dev", "fly")
    assert asked.returncode == 2
    assert "./dev run" in asked.stderr
