"""What the control plane tells its callers: plain values, the same on both sides of the socket."""

from dataclasses import dataclass

from localechod.echo.status import EndpointStatus, Event, PeerRow

__all__ = [  # the data plane's values are part of what is told; who is told imports them from here
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
        user: whom it serves as, by name, and `uid` by number.
        uptime_seconds: since the service started, by the monotonic clock.
        config: the configuration file, or "" for the built-in default.
        restart_needed: changed keys that only a restart applies, such as "service.user".
    """

    version: str
    pid: int
    user: str
    uid: int
    uptime_seconds: float
    config: str
    runtime_dir: str
    restart_needed: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadReport:
    """What a reload did: names of endpoints, and keys that wait for a restart."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    restart_needed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The answer to Status."""

    daemon: DaemonInfo
    endpoints: list[EndpointStatus]

    def silent(self) -> dict[str, str]:
        """Return the state of each endpoint that does not listen; a degraded one still does."""
        rows = self.endpoints
        return {row.name: row.state for row in rows if row.state not in {"listening", "degraded"}}


@dataclass(frozen=True, slots=True)
class PeersReport:
    """The answer to Peers: the connections, and which pid namespace their pids are of (0: unknown).

    In another one they are numbers without a meaning, or other processes' numbers.
    """

    peers: list[PeerRow]
    pid_namespace: int


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One event as a listener receives it, and how many it missed just before."""

    event: Event
    dropped: int
