"""The filter of a tapped command: which calls it reports, on every machine that is supported."""

import pytest

from localechod.explain.bpf import parse_program, results
from localechod.tap.supervision import _MACHINES, Machine, program

ALLOW, REPORT = 0x7FFF0000, 0x7FC00000
OTHER, CHANNEL = 999, 1000
NULL, LOW, HIGH = 0, 0x1000, 0x7F00_0000_0000


def answer(
    machine: Machine,
    nr: int,
    address: int = LOW,
    *,
    sends: bool,
    audit: int = 0,
    descriptor: int = 3,
) -> int:
    """Return what the filter says of a call whose fifth argument is an address."""
    arguments = (descriptor, LOW, 8, 0, address, 0)
    raw = program(machine, sends=sends, channel=CHANNEL)
    (found,) = results(parse_program(raw), nr, audit or machine.audit, arguments)
    assert found is not None
    return found


@pytest.fixture(params=_MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return _MACHINES[request.param]


@pytest.mark.parametrize("sends", [False, True])
def test_connect_is_reported_and_other_calls_are_not(machine: Machine, sends: bool) -> None:
    assert answer(machine, machine.connect, sends=sends) == REPORT
    assert answer(machine, OTHER, sends=sends) == ALLOW


def test_sends_are_reported_only_for_datagrams(machine: Machine) -> None:
    for nr in (machine.sendto, machine.sendmsg, machine.sendmmsg):
        assert answer(machine, nr, sends=True) == REPORT
        assert answer(machine, nr, sends=False) == ALLOW


def test_the_channel_of_the_start_is_not_reported(machine: Machine) -> None:
    said = answer(machine, machine.sendmsg, sends=True, descriptor=CHANNEL)
    assert said == ALLOW


@pytest.mark.parametrize(("address", "expected"), [(NULL, ALLOW), (LOW, REPORT), (HIGH, REPORT)])
def test_a_send_without_an_address_is_not_reported(
    machine: Machine, address: int, expected: int
) -> None:
    assert answer(machine, machine.sendto, address, sends=True) == expected


def test_the_numbers_of_another_architecture_are_not_taken_for_ours(machine: Machine) -> None:
    assert answer(machine, machine.connect, sends=True, audit=0x40000003) == ALLOW  # i386
