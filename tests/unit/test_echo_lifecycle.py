"""The table of states: what may happen, and that nothing else can."""

from itertools import product

import pytest

from localechod.echo.lifecycle import TABLE, IllegalTransitionError, State, Trigger, after


@pytest.mark.parametrize(("state", "trigger"), list(product(State, Trigger)))
def test_only_transitions_of_the_table_are_possible(state: State, trigger: Trigger) -> None:
    if (state, trigger) in TABLE:
        assert after(state, trigger) is TABLE[state, trigger]
    else:
        with pytest.raises(IllegalTransitionError, match=f"{trigger} cannot happen .* {state}"):
            after(state, trigger)


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.STOPPED}
    for _ in State:
        reached |= {TABLE[state, trigger] for state, trigger in TABLE if state in reached}
    assert reached == set(State)
    assert {state for state, _ in TABLE} == set(State)


def test_the_states_that_serve_are_those_that_have_a_socket() -> None:
    assert {state for state in State if state.serves} == {State.LISTENING, State.DEGRADED}
