"""Values that the control plane sends to its callers, the same on both sides of the socket."""

from dataclasses import dataclass

from localechod.echo.status import EndpointStatus, Event, PeerRow

__all__ = [  # includes the data plane's values, which clients import from here
    "ControlStatus",
    "DaemonInfo",
    "EndpointStatus",
    "Event",
    "PeerRow",
    "PeersReport",
    "ReceivedEvent",
    "ReloadReport",
    "StatusReport",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonInfo:
    """The daemon itself.

    Attributes:
        user: the user that it serves as, by name, and `uid` by number.
        uptime_seconds: since the service started, by the monotonic clock.
        config: the configuration file, or "" for the built-in default.
        restart_needed: changed keys that only a restart applies, such as "service.user".
        log_lines_left_out_total: lines that peers have caused and that were not written, since the
            process started.
    """

    version: str
    pid: int
    user: str
    uid: int
    uptime_seconds: float
    config: str
    runtime_dir: str
    restart_needed: list[str]
    log_lines_left_out_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlStatus:
    """The control socket.

    Attributes:
        connections: those open now, with that of the caller.
        errors: refused connections and calls, and others that failed, by reason; since the process
            started.
    """

    connections: int
    errors: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadReport:
    """The effect of a reload: names of endpoints, and keys that need a restart."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    restart_needed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The reply to Status."""

    daemon: DaemonInfo
    control: ControlStatus
    endpoints: list[EndpointStatus]

    def not_listening(self) -> dict[str, str]:
        """Return the state of each endpoint that does not listen; a degraded one still does."""
        rows = self.endpoints
        return {row.name: row.state for row in rows if row.state not in {"listening", "degraded"}}


@dataclass(frozen=True, slots=True)
class PeersReport:
    """The reply to Peers: the connections, and the pid namespace of their pids (0: unknown).

    In another namespace the pids mean nothing, or other processes.
    """

    peers: list[PeerRow]
    pid_namespace: int


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One event, and the number of events that were dropped before it."""

    event: Event
    dropped: int
