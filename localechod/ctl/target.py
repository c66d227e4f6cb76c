"""Targets of commands: an address, or the name of an endpoint, looked up in the catalog."""

import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from localechod.control import catalog
from localechod.control.catalog import CatalogEntry
from localechod.ctl.options import Options
from localechod.ctl.send.codec import RECORD
from localechod.errors import (
    DaemonNotRunningError,
    LocalechodError,
    NothingListensError,
    NotPermittedError,
    SocketError,
    UsageError,
)
from localechod.host import runtime
from localechod.localsocket import notation
from localechod.localsocket.address import Address
from localechod.localsocket.connect import Connected, connect
from localechod.localsocket.entry import is_socket
from localechod.localsocket.types import TYPES
from localechod.text import escape

Type = Literal["stream", "datagram", "seqpacket"]
Framing = Literal["auto", "line", "record", "chunk"]

_LARGEST_RECORD = 1 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """A socket to connect to, and what is known about it.

    Attributes:
        address: the address it is bound to.
        type: "stream", "datagram", "seqpacket", or None where it is to be found out.
        framing: "line", "record", "chunk", or "auto" where it is not known.
        record_size: bytes of a record.
        name: the endpoint's name, where the user gave it; else "".
    """

    address: Address
    type: str | None = None
    framing: str = "auto"
    record_size: int = RECORD
    name: str = ""

    def refined(self, kind: str | None, framing: str, record_size: int | None) -> "Target":
        """Return it with the options that the user gave; None and "auto" change nothing.

        Raises:
            UsageError: the record size is out of range.
        """
        if record_size is not None and not 1 < record_size <= _LARGEST_RECORD:
            raise UsageError(f"--record-size {record_size}: must be 2 to {_LARGEST_RECORD} bytes")
        return replace(
            self,
            type=kind or self.type,
            framing=self.framing if framing == "auto" else framing,
            record_size=record_size or self.record_size,
        )


def reach(target: Target, timeout: float) -> Connected:
    """Connect to a target within `timeout` seconds.

    Raises:
        SocketError: as `localsocket.connect` says; the hint names the command that tells more.
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
        # The daemon knows why; from here only the errno can be seen.
        name = escape(target.name)
        hint = f"{name} does not listen: localechoctl status {name} says more"
        raise SocketError(error.action, error.errno, error.path, hint) from error


def resolve(text: str, options: Options) -> Target:
    """Return what is known about the target that a user named.

    The address of an endpoint has that endpoint's type and framing.

    Raises:
        UsageError: the text is not a usable address, and not an endpoint's name.
        DaemonNotRunningError: the text is a name, and there is no catalog.
        LocalechodError: the text is a name, and the catalog cannot be read.
    """
    entry = find(text, options)
    if entry is not None:
        return replace(_from_entry(entry), name=text)
    address = Address.checked(read_address(text))
    absolute = os.path.abspath(address.path)  # noqa: PTH100 - Path.resolve() would follow links
    written = "@" + os.fsdecode(address.raw[1:]) if address.is_abstract else absolute
    try:
        known = catalog.read(options.runtime_directory() / runtime.CATALOG)
        entry = next((e for e in known.values() if e.path == written), None)
    except LocalechodError:
        entry = None  # an address does without the catalog
    return Target(address) if entry is None else _from_entry(entry)


def read_address(text: str) -> bytes:
    """Return the socket's name that an address stands for, as in sun_path.

    Where it stands for more than one, the choice is printed to standard error.

    Raises:
        UsageError: as `localsocket.notation.read` says.
    """
    name = notation.read(text)
    if name.remark:
        sys.stderr.write(f"({name.remark})\n")
    return name.raw


def find(text: str, options: Options, *, configured: bool = False) -> CatalogEntry | None:
    """Look an endpoint up by its name.

    Returns:
        None where the text is an address, as `localsocket.notation.is_address` says.

    Args:
        text: the target that the user named.
        options: which daemon's endpoints are meant.
        configured: as for `endpoints`.

    Raises:
        UsageError: no endpoint has that name.
        LocalechodError: as `endpoints` says.
    """
    if not text or notation.is_address(text):
        return None
    options.announce()
    try:
        known = endpoints(options, configured=configured)
    except DaemonNotRunningError:
        if not is_socket(text):
            raise
        known = {}
    if text not in known:
        names = ", ".join(map(escape, known)) or "none"
        hint = f"the endpoints are: {names}; an address has a / in it or begins with @"
        if is_socket(text):
            hint = f"there is {shlex.quote('./' + escape(text))}, with a / in it"
        raise UsageError(f"no endpoint is named {escape(text)}", hint)
    return known[text]


def endpoints(options: Options, *, configured: bool = False) -> Mapping[str, CatalogEntry]:
    """Return the endpoints of the daemon's catalog by name.

    A daemon that does not run has no catalog. A socket unit may have bound its sockets all the
    same, and starts it for the first client. The names are then those of the configuration file
    that the daemon would read.

    Args:
        options: which daemon is meant.
        configured: return the configured endpoints also where none of their sockets exists.

    Raises:
        DaemonNotRunningError: there is no catalog, and no socket of a configured endpoint.
        LocalechodError: the catalog cannot be read, or with `configured`, the configuration.
    """
    directory = options.runtime_directory()
    try:
        return catalog.read(directory / runtime.CATALOG)
    except DaemonNotRunningError:
        if configured:
            return _configured(directory)
        with suppress(LocalechodError):
            found = _configured(directory)
            if any(is_socket(each.path) for each in found.values()):
                return found
        raise


def _configured(directory: Path) -> Mapping[str, CatalogEntry]:
    # Imported only here: there is a catalog as a rule, and msgspec is slow to load.
    from localechod import config  # noqa: PLC0415 - see above

    # The system's daemon does not read the calling user's file.
    uid = 0 if directory == runtime.SYSTEM_DIRECTORY else None
    loaded = config.load(runtime.config_file(None, uid=uid), directory)
    return {
        name: CatalogEntry(
            name=name,
            type=endpoint.type,
            path=endpoint.path,
            framing=endpoint.framing if endpoint.type == "stream" else "",
            record_size=endpoint.record_size,
        )
        for name, endpoint in loaded.endpoints.items()
        if endpoint.enabled
    }


def _from_entry(entry: CatalogEntry) -> Target:
    return Target(
        address=Address.parse(entry.path),
        type=entry.type if entry.type in TYPES else None,
        framing=entry.framing or "auto",
        record_size=entry.record_size,
    )
