"""Reads a TOML file into a valid Config, or reports each mistake: file, key, value, reason."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from localechod.accounts import gid_of, uid_of
from localechod.config.faults import Faults, conflict
from localechod.config.schema import (
    REASONS,
    Config,
    ControlConfig,
    EndpointConfig,
    EndpointKeys,
    ServiceConfig,
    inapplicable,
)
from localechod.errors import ConfigError, UsageError
from localechod.localsocket.address import Address
from localechod.localsocket.types import TYPES
from localechod.text import escape

Table = Mapping[str, Any]
T = TypeVar("T", bound=msgspec.Struct)

_TOP = ("version", "service", "control", "defaults", "endpoints")
_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_WHERE = re.compile(r" - at `\$\.?(?P<key>\w*)[^`]*`\Z")


class _Mistake(Exception):  # noqa: N818 - a value on its way to becoming part of a ConfigError
    """One thing wrong with one key."""

    def __init__(self, key: str, reason: str, value: object = None) -> None:
        shown = "" if value is None else f" = {_toml(value)}"
        super().__init__(f"{key}{shown}: {reason}")


def default_text() -> str:
    """Return the shipped configuration file, which is also the built-in default."""
    # By path: importlib.resources imports tempfile, random and all compressors, 6 ms of a start.
    package = Path(__file__).parents[1]
    packaged = package / "default.toml"
    # An editable install and a checkout have the file only at its source.
    file = packaged if packaged.is_file() else package.parent / "etc" / "localechod.toml"
    return file.read_text(encoding="utf-8")


def load(path: Path | None, runtime: Path) -> Config:
    """Read and validate a configuration; nothing else is touched.

    Args:
        path: the file, or None for the built-in default.
        runtime: the runtime directory; an endpoint without a path has its socket there.

    Raises:
        ConfigError: the file cannot be read or used; one line for each mistake.
    """
    shown = "built-in configuration" if path is None else escape(str(path))
    try:
        text = default_text() if path is None else path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"open failed: {error.strerror} ({error.errno}): {shown}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: not valid TOML: {error}") from error
    return parse(text, runtime, shown)


def parse(text: str, runtime: Path, shown: str) -> Config:
    """Validate the text of a configuration; `shown` is its name in messages.

    Raises:
        ConfigError: as `load` does.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{shown}: not valid TOML: {error}") from error
    mistakes: list[str] = []
    config = _decode(document, runtime, mistakes)
    if mistakes or config is None:
        raise ConfigError("\n".join(f"{shown}: {mistake}" for mistake in mistakes))
    return config


def warnings(config: Config) -> list[str]:
    """Return settings that are valid but probably a mistake, one line each."""
    found = []
    # The accounts in the shipped file are not a mistake of a user without a file of their own.
    admins = [name for name in config.control.admins if name not in ControlConfig().admins]
    lists = [("control.admins", admins)]
    lists += [(f"endpoints.{name}.allow", list(e.allow)) for name, e in config.endpoints.items()]
    for key, names in lists:
        found += [
            f"{key}: {_toml(name)}: no such account here" for name in names if not _exists(name)
        ]
    found += [
        f"endpoints.{name}.allow: of a datagram's sender the kernel tells the user and the primary "
        "group only: membership in other groups does not count"
        for name, endpoint in config.endpoints.items()
        if endpoint.type == "datagram" and any(entry.startswith("@") for entry in endpoint.allow)
    ]
    return found


def _decode(document: Table, runtime: Path, mistakes: list[str]) -> Config | None:
    def attempt(step: Any, *arguments: Any) -> Any:
        try:
            return step(*arguments)
        except _Mistake as mistake:
            mistakes.append(str(mistake))
            return None

    attempt(_top, document)
    service = attempt(_struct, ServiceConfig, _table(document, "service", mistakes), "service.")
    control = attempt(_control, _table(document, "control", mistakes), runtime)
    defaults = _table(document, "defaults", mistakes)
    attempt(_struct, EndpointKeys, defaults, "defaults.")
    if mistakes:
        return None
    endpoints: dict[str, EndpointConfig] = {}
    tables = _table(document, "endpoints", mistakes)
    for name, table in tables.items():
        endpoint = attempt(_endpoint, name, table, defaults, runtime, service)
        if endpoint is not None:
            endpoints[name] = endpoint
    if not tables:
        mistakes.append("endpoints: at least one is needed, such as [endpoints.stream]")
    if not mistakes:
        attempt(_distinct, endpoints.values(), control)
    return Config(service=service, control=control, endpoints=endpoints)


def _top(document: Table) -> None:
    _known(document, _TOP, "")
    version = document.get("version")
    # `version = true` must not pass for 1.
    if type(version) is not int or version != 1:
        raise _Mistake(
            "version",
            "missing; write version = 1" if version is None else REASONS["version"],
            version,
        )


def _table(document: Table, key: str, mistakes: list[str]) -> Table:
    table = document.get(key, {})
    if isinstance(table, dict):
        return table
    mistakes.append(str(_Mistake(key, f"must be a table: [{key}]", table)))
    return {}


def _struct(kind: type[T], table: Table, prefix: str) -> T:
    _known(table, kind.__struct_fields__, prefix)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        at = _WHERE.search(str(error))
        if at is None or not at["key"]:
            missing = str(error).rpartition("`")[0].rpartition("`")[2]
            raise _Mistake(f"{prefix}{missing}", f"missing; it {REASONS[missing]}") from error
        raise _Mistake(f"{prefix}{at['key']}", REASONS[at["key"]], table[at["key"]]) from error


def _control(table: Table, runtime: Path) -> ControlConfig:
    control = _struct(ControlConfig, table, "control.")
    if not control.path or control.path.startswith("@") or control.path.endswith("/"):
        raise _Mistake(
            "control.path", "must name a file: control requires permissions", control.path
        )
    absolute = _address(str(runtime / control.path), "control.path", control.path)
    return msgspec.structs.replace(control, path=absolute)


def _endpoint(
    name: str, table: object, defaults: Table, runtime: Path, service: ServiceConfig
) -> EndpointConfig:
    where = f"endpoints.{escape(name)}"
    if not _NAME.match(name):
        raise _Mistake(where, "a name is up to 64 letters, digits, dots, dashes and underscores")
    if not isinstance(table, dict):
        raise _Mistake(where, f"must be a table: [endpoints.{name}]", table)
    _known(table, [key for key in EndpointConfig.__struct_fields__ if key != "name"], f"{where}.")
    path = table.get("path", str(runtime / f"{name}.sock"))
    barred = inapplicable(table.get("type"), table.get("framing", defaults.get("framing")), path)
    for key in table:
        if key in barred and table.get("type") in {"stream", "datagram", "seqpacket"}:
            raise _Mistake(f"{where}.{key}", barred[key], table[key])
    faults = table.get("faults", {})
    if not isinstance(faults, dict):
        raise _Mistake(f"{where}.faults", REASONS["faults"], faults)
    _faults(faults, table.get("type"), f"{where}.faults.")
    kept = {key: value for key, value in defaults.items() if key not in barred}
    endpoint = _struct(EndpointConfig, {**kept, **table, "name": name, "path": path}, f"{where}.")
    _consistent(endpoint, where, service)
    return endpoint


def read_faults(given: Table, kind: str, prefix: str) -> Faults:
    """Validate faults that are not in a file.

    Args:
        given: the keys and values.
        kind: stream, datagram or seqpacket.
        prefix: what a message has before a key.

    Raises:
        UsageError: the first mistake.
    """
    try:
        return _faults(given, kind, prefix)
    except _Mistake as mistake:
        raise UsageError(str(mistake)) from mistake


def _faults(given: Table, kind: object, prefix: str) -> Faults:
    """Refuse faults that are none, that do not fit the endpoint, or that have no effect."""
    faults = _struct(Faults, given, prefix)
    if isinstance(kind, str) and kind in TYPES and (found := conflict(given, kind)):
        key, reason = found
        raise _Mistake(f"{prefix}{key}", reason, given[key])
    return faults


def _consistent(endpoint: EndpointConfig, where: str, service: ServiceConfig) -> None:
    if not endpoint.path.startswith(("/", "@")):
        raise _Mistake(f"{where}.path", REASONS["path"], endpoint.path)
    _address(endpoint.path, f"{where}.path", endpoint.path)
    if len(endpoint.prefix_bytes) > 255:
        raise _Mistake(f"{where}.prefix", REASONS["prefix"], endpoint.prefix)
    for framing, character in (("line", "\n"), ("record", "\0")):
        if (
            endpoint.type == "stream"
            and endpoint.framing == framing
            and character in endpoint.prefix
        ):
            raise _Mistake(
                f"{where}.prefix",
                f"framing = {_toml(framing)} ends a message there",
                endpoint.prefix,
            )
    if endpoint.applies("record_size") and len(endpoint.prefix_bytes) >= endpoint.record_size:
        raise _Mistake(
            f"{where}.record_size", "leaves no room after the prefix", endpoint.record_size
        )
    if endpoint.reply == "identity" and endpoint.applies("record_size"):
        raise _Mistake(
            f"{where}.reply", 'framing = "record" would cut the line of JSON', endpoint.reply
        )
    _descriptors(endpoint, where)
    own = {"user": service.user, "group": service.group or service.user}
    for key, mine in own.items():
        value = getattr(endpoint, key)
        if value not in {None, mine} and endpoint.bind_as != "root":
            raise _Mistake(
                f"{where}.{key}", 'other than the service\'s it needs bind_as = "root"', value
            )


def _descriptors(endpoint: EndpointConfig, where: str) -> None:
    faults = endpoint.faults
    if faults.refuse_descriptors and not endpoint.wants_descriptors:
        raise _Mistake(
            f"{where}.faults.refuse_descriptors",
            'has no effect without echo_descriptors = true or reply = "identity"',
        )
    late = [key for key in ("delay", "jitter", "reorder") if getattr(faults, key)]
    if endpoint.echo_descriptors and late:
        raise _Mistake(
            f"{where}.faults.{late[0]}",
            "does not go with echo_descriptors: no descriptor is kept while a reply waits",
        )


def _distinct(endpoints: Iterable[EndpointConfig], control: ControlConfig) -> None:
    taken = {control.path: "control"}
    for endpoint in endpoints:
        if endpoint.path in taken:
            raise _Mistake(
                f"endpoints.{endpoint.name}.path",
                f"is also the path of {taken[endpoint.path]}",
                endpoint.path,
            )
        taken[endpoint.path] = f"endpoints.{endpoint.name}"


def _known(table: Table, keys: Iterable[str], where: str) -> None:
    for key in table:
        if key not in keys:
            close = difflib.get_close_matches(key, keys, 1)
            raise _Mistake(
                f"{where}{escape(key)}",
                "unknown key" + (f"; did you mean {close[0]}?" if close else ""),
            )


def _address(text: str, key: str, value: object) -> str:
    try:
        Address.parse(text)
    except UsageError as error:
        raise _Mistake(key, str(error), value) from error
    return text


def _exists(name: str) -> bool:
    found = gid_of(name[1:]) if name.startswith("@") else uid_of(name)
    return found is not None


def _toml(value: object) -> str:
    """A value as it would stand in the file, cut so that it fits a line."""
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{escape(value)}"' if isinstance(value, str) else escape(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."
