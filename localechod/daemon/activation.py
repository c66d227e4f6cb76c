"""Socket activation: the type and address of each passed socket, and the endpoint it belongs to.

A client of a socket that no endpoint serves would wait for ever. So a descriptor that fits no
endpoint ends the start, with an error that names the socket and what the endpoints need.
"""

import logging
import socket
from collections.abc import Iterable, Mapping

from msgspec import Struct

from localechod.config import Config, EndpointConfig
from localechod.echo.binding import Opened, Owner, request
from localechod.errors import ConfigError, UsageError
from localechod.localsocket.address import Address
from localechod.localsocket.adopt import name_of, wrap_activated
from localechod.localsocket.entry import PinnedEntry
from localechod.localsocket.filecheck import File, difference
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

log = logging.getLogger("localechod.daemon.activation")

# systemd's name for each descriptor of the unit, unless the unit sets FileDescriptorName=.
UNIT = "localechod.socket"

_HINT = (
    f"see `systemctl cat {UNIT}`: FileDescriptorName= has to be an endpoint's name, or absent, "
    "and each Listen...= needs an endpoint's type and path"
)


class Passed(Struct, frozen=True):
    """One passed descriptor: its name, and the facts of the kernel about it.

    Attributes:
        name: "" where it has none.
        type: as an endpoint's; "" where it is not a local socket.
        address: its address; None: it is not bound.
        listening: SO_ACCEPTCONN; always false for a datagram socket.
    """

    descriptor: int
    name: str
    type: str = ""
    address: Address | None = None
    listening: bool = False

    def fits(self, endpoint: EndpointConfig) -> bool:
        """Tell whether this is a socket for this endpoint."""
        return (
            self.type == endpoint.type
            and self.address == endpoint.address
            and self.listening == (endpoint.type != "datagram")
        )

    def __str__(self) -> str:
        name = f'"{escape(self.name)}"' if self.name else "without a name"
        if not self.type:
            return f"descriptor {self.descriptor} ({name}), which is not a local socket"
        place = "without an address" if self.address is None else f"at {self.address}"
        if not self.listening and self.type != "datagram":
            place += " that does not listen"
        return f"descriptor {self.descriptor} ({name}), a {self.type} socket {place}"


def describe(activated: Iterable[tuple[str, int]]) -> list[Passed]:
    """Ask the kernel what each socket is that a socket unit has passed, by name and descriptor."""
    return [_look(descriptor, name) for name, descriptor in activated]


def match(passed: Iterable[Passed], endpoints: Mapping[str, EndpointConfig]) -> dict[str, Passed]:
    """Find the endpoint of each descriptor. An endpoint without one binds its own socket.

    A descriptor with an endpoint's name belongs to that endpoint. All descriptors of one socket
    unit have one name, so those with the unit's name are told apart by type and address. The order
    means nothing.

    Raises:
        UsageError: with every descriptor that fits no endpoint, or the same one as another.
    """
    matched: dict[str, Passed] = {}
    faults = []
    for one in passed:
        fault, name = _find(one, endpoints)
        if not fault and name in matched:
            fault = f"endpoint {name} has descriptor {matched[name].descriptor} already"
        if fault:
            faults.append(f"{one}: {fault}")
        else:
            matched[name] = one
    if faults:
        raise UsageError(f"socket activation failed: {', and '.join(faults)}", _HINT)
    return matched


def _find(passed: Passed, endpoints: Mapping[str, EndpointConfig]) -> tuple[str, str]:
    """Return the fault, or "", and the endpoint's name."""
    if passed.name == UNIT:
        for candidate in endpoints.values():
            if passed.fits(candidate):
                return "", candidate.name
        there = [one for one in endpoints.values() if one.address == passed.address]
        wanted = ", ".join(map(_wanted, there or endpoints.values()))
        return f"it fits no endpoint ({wanted})", ""
    endpoint = endpoints.get(passed.name)
    if endpoint is None:
        return f"no endpoint has this name; there are {', '.join(endpoints)}", ""
    return "" if passed.fits(endpoint) else f"wanted is {_wanted(endpoint)}", endpoint.name


def _wanted(endpoint: EndpointConfig) -> str:
    return f"{endpoint.name}: {endpoint.type} at {endpoint.address}"


def _look(descriptor: int, name: str) -> Passed:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        return Passed(descriptor, name)
    try:
        if sock.family != socket.AF_UNIX:
            return Passed(descriptor, name)
        listening = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        address = name_of(sock)
        bound = address if address.raw else None
        return Passed(descriptor, name, TYPE_NAMES[sock.type], bound, listening)
    finally:
        sock.detach()


def open_sockets(
    matched: Mapping[str, Passed],
    config: Config,
    owner: Owner,
) -> dict[str, Opened]:
    """Open the passed sockets for their endpoints.

    The socket unit decides about owner and mode; a warning tells where the configuration differs.

    Args:
        matched: the result of `match`; the descriptors are taken over.
        config: with the endpoints.
        owner: owner of a socket whose endpoint names none.
    """
    opened: dict[str, Opened] = {}
    for name, passed in matched.items():
        endpoint = config.endpoints[name]
        bound = wrap_activated(socket.socket(fileno=passed.descriptor), endpoint.address)
        opened[name] = bound
        differs = "" if bound.file is None else _difference(bound.file, endpoint, owner)
        if differs:
            log.warning("%s: its socket unit has given %s %s", name, bound.address, differs)
    return opened


def _difference(file: PinnedEntry, endpoint: EndpointConfig, owner: Owner) -> str:
    """Return how owner and mode differ from the configuration, or ""."""
    try:
        wanted = request(endpoint, owner)
    except ConfigError as error:
        return f"another owner: {error}"
    found = File.of(file.status)
    return difference(found, File(found.identity, wanted.mode, wanted.uid, wanted.gid))
