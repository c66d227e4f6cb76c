"""Where endpoints are, or would be: from the daemon's catalogue, else from its configuration."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from localechod.control import catalog
from localechod.ctl.options import Options
from localechod.errors import DaemonNotRunningError, LocalechodError, UsageError
from localechod.host import runtime
from localechod.text import escape


@dataclass(frozen=True, slots=True)
class Place:
    """An address to explain.

    Attributes:
        address: a path, or "@name".
        type: "stream", "datagram", "seqpacket", or "" where it does not matter.
        name: the endpoint's, escaped, or "".
        is_control: it is the daemon's control socket.
    """

    address: str
    type: str = ""
    name: str = ""
    is_control: bool = False


def find(text: str, options: Options) -> Place:
    """Find a target: with "/" or "@" it is an address, else an endpoint's name.

    Raises:
        UsageError: no endpoint has that name.
        LocalechodError: neither catalogue nor configuration can be read.
    """
    if "/" in text or text.startswith("@"):
        return Place(text)
    options.announce()
    known = _endpoints(options)
    if text not in known:
        names = ", ".join(known) or "none"
        hint = f"the endpoints are: {names}; an address has a / in it or begins with @"
        raise UsageError(f"no endpoint is named {escape(text)}", hint)
    return known[text]


def all_places(options: Options) -> list[Place]:
    """Return the control socket and every endpoint; a configuration that is broken is told."""
    options.announce()
    control = Place(options.control_path(), "stream", "control socket", is_control=True)
    try:
        return [control, *_endpoints(options).values()]
    except LocalechodError as error:
        sys.stderr.write(f"{error}\n")
        return [control]


def _endpoints(options: Options) -> Mapping[str, Place]:
    directory = options.runtime_directory()
    try:
        entries = catalog.read(directory / runtime.CATALOG)
    except DaemonNotRunningError:
        # Only here, since the daemon's own word is at hand as a rule, and msgspec takes its time.
        from localechod import config  # noqa: PLC0415 - see above

        # The system's daemon does not read the file of whoever asks.
        uid = 0 if directory == runtime.SYSTEM_DIRECTORY else None
        loaded = config.load(runtime.config_file(None, uid=uid), directory)
        return {
            escape(name): Place(endpoint.path, endpoint.type, escape(name))
            for name, endpoint in loaded.endpoints.items()
            if endpoint.enabled
        }
    return {
        escape(name): Place(entry.path, entry.type, escape(name)) for name, entry in entries.items()
    }
