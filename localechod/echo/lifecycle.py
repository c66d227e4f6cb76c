"""The states of an endpoint: one table of states and triggers; no other change is possible."""

from enum import StrEnum


class State(StrEnum):
    """The state of an endpoint; users and the control plane see these values."""

    STOPPED = "stopped"
    STARTING = "starting"
    LISTENING = "listening"
    DEGRADED = "degraded"
    FAILED = "failed"

    @property
    def serves(self) -> bool:
        """Whether clients are answered in this state."""
        return self in {State.LISTENING, State.DEGRADED}


class Trigger(StrEnum):
    """What changes the state of an endpoint."""

    START = "start"  # by configuration or by hand
    BOUND = "bound"  # its socket is bound, has its owner and mode, and is open
    REFUSED = "refused"  # it could not be bound or served
    TROUBLE = "trouble"  # it serves, but not every client
    RECOVERED = "recovered"  # it serves every client again
    STOP = "stop"  # by configuration or by hand


TABLE: dict[tuple[State, Trigger], State] = {
    (State.STOPPED, Trigger.START): State.STARTING,
    (State.FAILED, Trigger.START): State.STARTING,
    (State.STARTING, Trigger.BOUND): State.LISTENING,
    (State.STARTING, Trigger.REFUSED): State.FAILED,
    (State.FAILED, Trigger.REFUSED): State.FAILED,  # for another reason than before
    (State.LISTENING, Trigger.TROUBLE): State.DEGRADED,
    (State.DEGRADED, Trigger.TROUBLE): State.DEGRADED,  # for one more reason
    (State.DEGRADED, Trigger.RECOVERED): State.LISTENING,
    (State.LISTENING, Trigger.STOP): State.STOPPED,
    (State.DEGRADED, Trigger.STOP): State.STOPPED,
    (State.FAILED, Trigger.STOP): State.STOPPED,
}


class IllegalTransitionError(RuntimeError):
    """A defect in localechod, not a user's mistake: the caller did not check the state."""


def after(state: State, trigger: Trigger) -> State:
    """Return the state that follows.

    Raises:
        IllegalTransitionError: it is not in the table; nothing has changed.
    """
    try:
        return TABLE[state, trigger]
    except KeyError:
        raise IllegalTransitionError(
            f"{trigger} cannot happen to an endpoint that is {state}"
        ) from None
