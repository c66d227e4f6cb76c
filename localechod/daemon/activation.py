"""Sockets that a socket unit passes: what each of them is, and which endpoint it is for.

Nothing that is passed may be left over: who connects to a socket that nobody serves waits for ever.
So a descriptor that fits no endpoint ends the start, with what was passed and what was wanted.
"""

import logging
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from localechod.config import Config, EndpointConfig
from localechod.echo.binding import Opened, Owner, request
from localechod.errors import ConfigError, UsageError
from localechod.localsocket.address import Address
from localechod.localsocket.adopt import borrow, name_of
from localechod.localsocket.entry import PinnedEntry
from localechod.localsocket.filecheck import File, difference
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

log = logging.getLogger("localechod.daemon.activation")

# What systemd calls every descriptor of the unit that does not say FileDescriptorName=.
UNIT = "localechod.socket"

_HINT = (
    f"see `systemctl cat {UNIT}`: FileDescriptorName= is the name of an endpoint, or is not "
    "there, and each Listen...= has an endpoint's type and path"
)


@dataclass(frozen=True, slots=True)
class Passed:
    """One descriptor: its name in the socket unit, and what the kernel says it is.

    Attributes:
        name: "" where it came without one.
        type: as an endpoint's; "" for what is no local socket.
        address: where it is bound; None: it is not.
        listening: SO_ACCEPTCONN; a datagram socket never is.
    """

    descriptor: int
    name: str
    type: str = ""
    address: Address | None = None
    listening: bool = False

    def fits(self, endpoint: EndpointConfig) -> bool:
        """Tell whether clients of this endpoint find here what they look for."""
        return (
            self.type == endpoint.type
            and self.address == endpoint.address
            and self.listening == (endpoint.type != "datagram")
        )

    def __str__(self) -> str:
        name = f'"{escape(self.name)}"' if self.name else "without a name"
        if not self.type:
            return f"descriptor {self.descriptor} ({name}), which is no local socket"
        place = "without an address" if self.address is None else f"at {self.address}"
        if not self.listening and self.type != "datagram":
            place += " that does not listen"
        return f"descriptor {self.descriptor} ({name}), a {self.type} socket {place}"


def describe(activated: Iterable[tuple[str, int]]) -> list[Passed]:
    """Ask the kernel what each socket is that a socket unit has passed, by name and descriptor."""
    return [_look(descriptor, name) for name, descriptor in activated]


def match(passed: Iterable[Passed], endpoints: Mapping[str, EndpointConfig]) -> dict[str, Passed]:
    """Find the endpoint of each descriptor; endpoints for which there is none bind themselves.

    By its name, if that is an endpoint's; all descriptors of one socket unit have the same, so
    under the unit's own name they are told apart by type and address. The order means nothing.

    Raises:
        UsageError: naming every descriptor that fits no endpoint, and those that fit the same.
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
    """Return what is wrong, or "", and the endpoint's name."""
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


def lend(
    matched: Mapping[str, Passed],
    config: Config,
    owner: Owner,
) -> dict[str, Opened]:
    """Give the endpoints the sockets that were passed for them.

    Owner and mode are the socket unit's to decide; where the configuration says otherwise, the log
    does too.

    Args:
        matched: what `match` returned; the descriptors are taken over.
        config: with the endpoints.
        owner: who owns a socket whose endpoint names nobody.
    """
    lent: dict[str, Opened] = {}
    for name, passed in matched.items():
        endpoint = config.endpoints[name]
        bound = borrow(socket.socket(fileno=passed.descriptor), endpoint.address)
        lent[name] = bound
        differs = "" if bound.file is None else _difference(bound.file, endpoint, owner)
        if differs:
            log.warning("%s: its socket unit has given %s %s", name, bound.address, differs)
    return lent


def _difference(file: PinnedEntry, endpoint: EndpointConfig, owner: Owner) -> str:
    """Say in what owner and mode are not those of the configuration, or ""."""
    try:
        wanted = request(endpoint, owner)
    except ConfigError as error:
        return f"another owner: {error}"
    found = File.of(file.status)
    return difference(found, File(found.identity, wanted.mode, wanted.uid, wanted.gid))
