"""What the data plane tells about itself: plain values, for the control plane to pass on."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRow:
    """One connected peer, as the kernel named it when it connected."""

    endpoint: str
    pid: int
    uid: int
    since: float
    messages: int
    received_bytes: int
    sent_bytes: int
