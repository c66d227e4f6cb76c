"""The schema of the configuration: type, range and default of every key.

msgspec decodes into these frozen structs. For a small model it took 23 ms and 13 MiB, pydantic
89 ms and 28 MiB. conversion.py replaces its messages by ours.
"""

from functools import lru_cache
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from localechod.config.faults import FAULT_REASONS, Faults
from localechod.localsocket.address import Address

EndpointType: TypeAlias = Literal["stream", "datagram", "seqpacket"]
Framing: TypeAlias = Literal["line", "record", "chunk"]
Mode: TypeAlias = Annotated[str, Meta(pattern=r"\A0[0-7]{3}\Z")]
Account: TypeAlias = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9_.-]*\$?\Z", max_length=64)
]
AccountOrGroup: TypeAlias = Annotated[
    str, Meta(pattern=r"\A@?[A-Za-z0-9_][A-Za-z0-9_.-]*\$?\Z", max_length=65)
]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=86400 * 365)]

# The reason why a value is refused, worded for the person who has to correct it.
REASONS = {
    "version": "must be 1, the only version there is",
    "type": 'must be "stream", "datagram" or "seqpacket"',
    "mode": 'must be an octal string with a leading 0, such as "0660"',
    "bind_as": 'must be "service" or "root"',
    "framing": 'must be "line", "record" or "chunk"',
    "user": "must be the name of a user",
    "group": "must be the name of a group",
    "allow": "must be a list of user names and @group names",
    "admins": "must be a list of user names and @group names",
    "drain_timeout": "must be a number of seconds, 0 or more",
    "crash_keep": "must be a number of connections from 0 (none) to 4096",
    "busy_poll_us": "must be a number of microseconds from 0 (never) to 1000",
    "idle_timeout": "must be a number of seconds, 0 (never) or more",
    "record_size": "must be a number of bytes from 2 to 1048576",
    "max_message": "must be a number of bytes from 1 to 16777216",
    "max_connections": "must be a number from 1 to 1000000",
    "max_connections_per_user": "must be a number from 0 (no limit) to 1000000",
    "backlog": "must be a number from 1 to 65535",
    "prefix": "must be a string of at most 255 bytes",
    "path": 'must be an absolute path or "@name" (abstract)',
    "log_messages": "must be true or false",
    "enabled": "must be true or false",
    "reply": 'must be "echo" or "identity"',
    "echo_descriptors": "must be true or false",
    "faults": "must be a table, such as { delay = 0.05 }",
    **FAULT_REASONS,
}


class ServiceConfig(Struct, frozen=True, kw_only=True):
    """[service]: the account, and the service as a whole. Without `group`: the user's own."""

    user: Account = "localecho"
    group: Account | None = None
    drain_timeout: Seconds = 5.0
    crash_keep: Annotated[int, Meta(ge=0, le=4096)] = 256
    busy_poll_us: Annotated[int, Meta(ge=0, le=1000)] = 0


class ControlConfig(Struct, frozen=True, kw_only=True):
    """[control]: the socket of `localechoctl`, and the users that may change things through it."""

    path: str = "control.sock"
    mode: Mode = "0666"
    admins: tuple[AccountOrGroup, ...] = ("root", "@localecho")

    @property
    def bits(self) -> int:
        """The mode as chmod(2) takes it."""
        return int(self.mode, 8)


class EndpointKeys(Struct, frozen=True, kw_only=True):
    """The keys that [defaults] may set for every endpoint."""

    mode: Mode = "0660"
    bind_as: Literal["service", "root"] = "service"
    user: Account | None = None
    group: Account | None = None
    prefix: Annotated[str, Meta(max_length=255)] = "Hi, "  # characters; rules.py checks the bytes
    framing: Framing = "line"
    record_size: Annotated[int, Meta(ge=2, le=1 << 20)] = 4096
    max_message: Annotated[int, Meta(ge=1, le=1 << 24)] = 65536
    max_connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 1024
    # A quarter of max_connections, and the default of dbus-daemon(1).
    max_connections_per_user: Annotated[int, Meta(ge=0, le=1_000_000)] = 256
    idle_timeout: Seconds = 0.0
    backlog: Annotated[int, Meta(ge=1, le=65535)] = 1024
    allow: tuple[AccountOrGroup, ...] = ()
    log_messages: bool = False
    reply: Literal["echo", "identity"] = "echo"
    echo_descriptors: bool = False
    enabled: bool = True


class EndpointConfig(EndpointKeys, frozen=True, kw_only=True):
    """[endpoints.NAME]: one echo service. `path` is absolute or "@name" once it has been read."""

    name: str
    type: EndpointType
    path: str
    faults: Faults = Faults()

    @property
    def address(self) -> Address:
        """The path as an address."""
        return Address.parse(self.path)

    @property
    def bits(self) -> int:
        """The mode as chmod(2) takes it."""
        return int(self.mode, 8)

    @property
    def prefix_bytes(self) -> bytes:
        """The prefix of each reply in bytes; the same object for every connection."""
        return _encoded(self.prefix)

    @property
    def wants_descriptors(self) -> bool:
        """Whether descriptors that are passed with a message have an effect."""
        return self.echo_descriptors or self.reply == "identity"

    @property
    def is_plain(self) -> bool:
        """Whether it is an echo and no more; others are served one message at a time."""
        return not (self.faults or self.wants_descriptors)

    def applies(self, key: str) -> bool:
        """Whether a key has a meaning for this type, framing and kind of address."""
        return key not in inapplicable(self.type, self.framing, self.path)


class Config(Struct, frozen=True, kw_only=True):
    """A whole configuration, valid and complete."""

    service: ServiceConfig
    control: ControlConfig
    endpoints: dict[str, EndpointConfig]


def inapplicable(kind: object, framing: object, path: object) -> dict[str, str]:
    """Return the keys without a meaning for such an endpoint, each with the reason."""
    keys: dict[str, str] = {}
    if kind != "stream":
        keys |= dict.fromkeys(("framing", "record_size"), "applies to stream endpoints only")
    elif framing != "record":
        keys["record_size"] = 'applies with framing = "record" only'
    if kind == "datagram":
        connected = ("max_connections", "max_connections_per_user", "idle_timeout", "backlog")
        keys |= dict.fromkeys(
            connected, "does not apply to datagram endpoints: they have no connections"
        )
    if isinstance(path, str) and path.startswith("@"):
        keys |= dict.fromkeys(
            ("mode", "user", "group"), "does not apply to an abstract address: it is no file"
        )
    return keys


@lru_cache
def _encoded(text: str) -> bytes:
    return text.encode()
