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


class Happening(StrEnum):
    """What can happen to an endpoint."""

    START = "start"  # by configuration or by hand
    BOUND = "bound"  # its socket is bound, owned and open
    REFUSED = "refused"  # the kernel would not have it
    IMPAIRED = "impaired"  # it serves, but not everyone
    CURED = "cured"  # it serves everyone again
    STOP = "stop"  # by configuration or by hand


TABLE: dict[tuple[State, Happening], State] = {
    (State.STOPPED, Happening.START): State.STARTING,
    (State.FAILED, Happening.START): State.STARTING,
    (State.STARTING, Happening.BOUND): State.LISTENING,
    (State.STARTING, Happening.REFUSED): State.FAILED,
    (State.FAILED, Happening.REFUSED): State.FAILED,  # for another reason than before
    (State.LISTENING, Happening.IMPAIRED): State.DEGRADED,
    (State.DEGRADED, Happening.IMPAIRED): State.DEGRADED,  # for one more reason
    (State.DEGRADED, Happening.CURED): State.LISTENING,
    (State.LISTENING, Happening.STOP): State.STOPPED,
    (State.DEGRADED, Happening.STOP): State.STOPPED,
    (State.FAILED, Happening.STOP): State.STOPPED,
}


class IllegalTransitionError(RuntimeError):
    """A defect in localechod, never a user's mistake: the caller did not look first."""


def after(state: State, happening: Happening) -> State:
    """Return the state that follows.

    Raises:
        IllegalTransitionError: the table does not know it; nothing has changed.
    """
    try:
        return TABLE[state, happening]
    except KeyError:
        raise IllegalTransitionError(
            f"{happening} cannot happen to an endpoint that is {state}"
        ) from None
