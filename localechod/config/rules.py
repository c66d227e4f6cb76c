"""Rules about more than one key: settings that exclude each other, or that have no effect."""

from collections.abc import Iterable

from localechod.accounts import gid_of, uid_of
from localechod.config.conversion import Mistake, Table, convert, toml_text
from localechod.config.faults import Faults, conflict
from localechod.config.schema import (
    REASONS,
    Config,
    ControlConfig,
    EndpointConfig,
    ServiceConfig,
)
from localechod.errors import UsageError
from localechod.localsocket.address import Address
from localechod.localsocket.types import TYPES


def check_faults(table: Table, where: str) -> None:
    """Refuse faults that are none, that do not fit the endpoint, or that have no effect.

    Raises:
        Mistake: for the first of them.
    """
    given = table.get("faults", {})
    if not isinstance(given, dict):
        raise Mistake(where, REASONS["faults"], given)
    _faults(given, table.get("type"), f"{where}.")


def read_faults(given: Table, kind: str, prefix: str) -> Faults:
    """Return faults that are not in a file.

    Args:
        given: the keys and values.
        kind: stream, datagram or seqpacket.
        prefix: what a message has before a key.

    Raises:
        UsageError: the first mistake.
    """
    try:
        return _faults(given, kind, prefix)
    except Mistake as mistake:
        raise UsageError(str(mistake)) from mistake


def _faults(given: Table, kind: object, prefix: str) -> Faults:
    faults = convert(Faults, given, prefix)
    if isinstance(kind, str) and kind in TYPES and (found := conflict(given, kind)):
        key, reason = found
        raise Mistake(f"{prefix}{key}", reason, given[key])
    return faults


def check_endpoint(endpoint: EndpointConfig, where: str, service: ServiceConfig) -> None:
    """Refuse settings of an endpoint that exclude each other.

    Raises:
        Mistake: for the first of them.
    """
    if not endpoint.path.startswith(("/", "@")):
        raise Mistake(f"{where}.path", REASONS["path"], endpoint.path)
    check_address(endpoint.path, f"{where}.path", endpoint.path)
    if len(endpoint.prefix_bytes) > 255:
        raise Mistake(f"{where}.prefix", REASONS["prefix"], endpoint.prefix)
    for framing, character in (("line", "\n"), ("record", "\0")):
        if (
            endpoint.type == "stream"
            and endpoint.framing == framing
            and character in endpoint.prefix
        ):
            raise Mistake(
                f"{where}.prefix",
                f"framing = {toml_text(framing)} ends a message there",
                endpoint.prefix,
            )
    if endpoint.applies("record_size") and len(endpoint.prefix_bytes) >= endpoint.record_size:
        raise Mistake(
            f"{where}.record_size", "leaves no space after the prefix", endpoint.record_size
        )
    if endpoint.reply == "identity" and endpoint.applies("record_size"):
        raise Mistake(
            f"{where}.reply", 'framing = "record" would cut the line of JSON', endpoint.reply
        )
    _descriptors(endpoint, where)
    own = {"user": service.user, "group": service.group or service.user}
    for key, mine in own.items():
        value = getattr(endpoint, key)
        if value not in {None, mine} and endpoint.bind_as != "root":
            raise Mistake(
                f"{where}.{key}", 'other than the service\'s it needs bind_as = "root"', value
            )


def _descriptors(endpoint: EndpointConfig, where: str) -> None:
    faults = endpoint.faults
    if faults.refuse_descriptors and not endpoint.wants_descriptors:
        raise Mistake(
            f"{where}.faults.refuse_descriptors",
            'has no effect without echo_descriptors = true or reply = "identity"',
        )
    late = [key for key in ("delay", "jitter", "reorder") if getattr(faults, key)]
    if endpoint.echo_descriptors and late:
        raise Mistake(
            f"{where}.faults.{late[0]}",
            "does not go with echo_descriptors: no descriptor is kept while a reply waits",
        )


def check_paths(endpoints: Iterable[EndpointConfig], control: ControlConfig) -> None:
    """Refuse a path that two sockets would have.

    Raises:
        Mistake: for the first of them.
    """
    taken = {control.path: "control"}
    for endpoint in endpoints:
        if endpoint.path in taken:
            raise Mistake(
                f"endpoints.{endpoint.name}.path",
                f"is also the path of {taken[endpoint.path]}",
                endpoint.path,
            )
        taken[endpoint.path] = f"endpoints.{endpoint.name}"


def check_address(text: str, key: str, value: object) -> str:
    """Return the text of an address, if it is one; `value` is what the file has.

    Raises:
        Mistake: it is too long, or no address.
    """
    try:
        Address.parse(text)
    except UsageError as error:
        raise Mistake(key, str(error), value) from error
    return text


def warnings(config: Config) -> list[str]:
    """Return settings that are valid but probably a mistake, one line each."""
    found = []
    # The accounts in the shipped file are not a mistake of a user without a file of their own.
    admins = [name for name in config.control.admins if name not in ControlConfig().admins]
    lists = [("control.admins", admins)]
    lists += [(f"endpoints.{name}.allow", list(e.allow)) for name, e in config.endpoints.items()]
    for key, names in lists:
        found += [
            f"{key}: {toml_text(name)}: no such account here" for name in names if not _exists(name)
        ]
    found += [
        f"endpoints.{name}.allow: of a datagram's sender the kernel tells the user and the primary "
        "group only: membership in other groups does not count"
        for name, endpoint in config.endpoints.items()
        if endpoint.type == "datagram" and any(entry.startswith("@") for entry in endpoint.allow)
    ]
    return found


def _exists(name: str) -> bool:
    found = gid_of(name[1:]) if name.startswith("@") else uid_of(name)
    return found is not None
