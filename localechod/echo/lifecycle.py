"""The life of an endpoint: one table of states and events; what is not in it cannot happen."""

from enum import StrEnum


class State(StrEnum):
    """What an endpoint is; the values are what users and the control plane see."""

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
    """What can happen to an endpoint."""

    START = "start"  # by configuration or by hand
    BOUND = "bound"  # its socket is bound, owned and open
    REFUSED = "refused"  # the kernel would not have it
    TROUBLE = "trouble"  # it serves, but not everyone
    RECOVERED = "recovered"  # it serves everyone again
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
    """A defect in localechod, never a user's mistake: the caller did not look first."""


def after(state: State, trigger: Trigger) -> State:
    """Return the state that follows.

    Raises:
        IllegalTransitionError: the table does not know it; nothing has changed.
    """
    try:
        return TABLE[state, trigger]
    except KeyError:
        raise IllegalTransitionError(
            f"{trigger} cannot happen to an endpoint that is {state}"
        ) from None
