"""Whom `send` talks to: an address, or an endpoint's name looked up in the catalogue."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from localechod.control import catalog
from localechod.control.catalog import CatalogEntry
from localechod.ctl.options import Options
from localechod.ctl.send.codec import RECORD
from localechod.errors import (
    LocalechodError,
    NothingListensError,
    NotPermittedError,
    SocketError,
    UsageError,
)
from localechod.host import runtime
from localechod.localsocket.address import Address
from localechod.localsocket.connect import Connected, connect
from localechod.localsocket.types import TYPES
from localechod.text import escape

Type = Literal["stream", "datagram", "seqpacket"]
Framing = Literal["auto", "line", "record", "chunk"]

_LARGEST_RECORD = 1 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """A peer and what is known about it.

    Attributes:
        address: where it listens.
        type: "stream", "datagram", "seqpacket", or None where that is to be found out.
        framing: "line", "record", "chunk", or "auto" where nobody said.
        record_size: bytes of a record.
        name: the endpoint's, where the user named it so.
    """

    address: Address
    type: str | None = None
    framing: str = "auto"
    record_size: int = RECORD
    name: str = ""

    def refined(self, kind: str | None, framing: str, record_size: int | None) -> "Target":
        """Return it with what the user knows better; None and "auto" leave a thing as it is.

        Raises:
            UsageError: no record has that size.
        """
        if record_size is not None and not 1 < record_size <= _LARGEST_RECORD:
            raise UsageError(f"--record-size {record_size}: it takes 2 to {_LARGEST_RECORD} bytes")
        return replace(
            self,
            type=kind or self.type,
            framing=self.framing if framing == "auto" else framing,
            record_size=record_size or self.record_size,
        )


def reach(target: Target, timeout: float) -> Connected:
    """Connect to a target within `timeout` seconds.

    Raises:
        SocketError: as `localsocket.connect` says; of an endpoint of ours, who knows more.
    """
    try:
        return connect(target.address, TYPES[target.type] if target.type else None, timeout)
    except SocketError as error:
        if error.action == "connect" and error.exit_status == NotPermittedError.exit_status:
            more = f"localechoctl explain {shlex.quote(str(target.address))} shows every step"
            hint = f"{error.hint}; {more}" if error.hint else more
            raise SocketError(error.action, error.errno, error.path, hint) from error
        if not target.name or error.exit_status != NothingListensError.exit_status:
            raise
        # The daemon knows better why than can be seen from the outside.
        name = escape(target.name)
        hint = f"{name} does not listen: localechoctl status {name} says more"
        raise SocketError(error.action, error.errno, error.path, hint) from error


def resolve(text: str, options: Options) -> Target:
    """Find a target: with "/" or "@" it is an address, else an endpoint's name.

    An address that is an endpoint's of ours is spoken to as that endpoint wants it.

    Raises:
        UsageError: no usable address, or no such endpoint.
        DaemonNotRunningError: a name, and there is no catalogue to look it up in.
        LocalechodError: a name, and the catalogue cannot be read.
    """
    if "/" in text or text.startswith("@"):
        address = Address.parse(text)
        ours = [entry for entry in _entries_or_none(options).values() if entry.path == text]
        return _from_entry(ours[0]) if ours else Target(address)
    options.announce()
    entries = catalog.read(options.runtime_directory() / runtime.CATALOG)
    if text not in entries:
        known = ", ".join(map(escape, entries)) or "none"
        raise UsageError(
            f"no endpoint is named {escape(text)}",
            f"the endpoints are: {known}; an address has a / in it or begins with @",
        )
    return replace(_from_entry(entries[text]), name=text)


def _entries_or_none(options: Options) -> Mapping[str, CatalogEntry]:
    """Read the catalogue for an address, which does without: nothing wrong with it matters."""
    try:
        return catalog.read(options.runtime_directory() / runtime.CATALOG)
    except LocalechodError:
        return {}


def _from_entry(entry: CatalogEntry) -> Target:
    return Target(
        address=Address.parse(entry.path),
        type=entry.type if entry.type in TYPES else None,
        framing=entry.framing or "auto",
        record_size=entry.record_size,
    )
