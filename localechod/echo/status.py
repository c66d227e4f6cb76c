"""The status of the data plane: plain values, which the control plane passes on."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatus:
    """One endpoint as `localechoctl status` shows it. Counters run since the service started."""

    name: str
    type: str
    state: str
    path: str
    mode: str
    owner: str
    group: str
    framing: str
    connections: int
    accepted_total: int
    messages_total: int
    received_bytes_total: int
    sent_bytes_total: int
    errors: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    hint: str | None = None
    restarts_total: int = 0
    faults: dict[str, float] = field(default_factory=dict)
    faults_total: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRow:
    """One connected peer, with its credentials at the time of its connect.

    Attributes:
        connected_seconds: since it was accepted.
    """

    endpoint: str
    pid: int
    uid: int
    connected_seconds: float
    messages: int
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an endpoint or to the service.

    Attributes:
        kind: "state", "refused", "error", "reload" or "fault".
        endpoint: the endpoint's name, or "" for the service itself.
        text: one line, for people.
        state: the new state where kind is "state", else "".
        uid: the user whom it concerns, if that is one user.
        pid: the process that it concerns, if that is one process.
        time: seconds since the epoch (wall clock, for display only).
    """

    kind: str
    endpoint: str
    text: str
    state: str = ""
    uid: int | None = None
    pid: int | None = None
    time: float = field(default_factory=time.time)
