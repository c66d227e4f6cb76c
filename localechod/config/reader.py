"""Reads a TOML file into a valid Config, or reports each mistake: file, key, value, reason."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from localechod.config.conversion import Mistake, Table, check_keys, convert
from localechod.config.rules import check_address, check_endpoint, check_faults, check_paths
from localechod.config.schema import (
    REASONS,
    Config,
    ControlConfig,
    EndpointConfig,
    EndpointKeys,
    ServiceConfig,
    inapplicable,
)
from localechod.errors import ConfigError
from localechod.text import escape

_TOP = ("version", "service", "control", "defaults", "endpoints")
_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")


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


def _decode(document: Table, runtime: Path, mistakes: list[str]) -> Config | None:
    def attempt(step: Any, *arguments: Any) -> Any:
        try:
            return step(*arguments)
        except Mistake as mistake:
            mistakes.append(str(mistake))
            return None

    attempt(_top, document)
    service = attempt(convert, ServiceConfig, _table(document, "service", mistakes), "service.")
    control = attempt(_control, _table(document, "control", mistakes), runtime)
    defaults = _table(document, "defaults", mistakes)
    attempt(convert, EndpointKeys, defaults, "defaults.")
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
        attempt(check_paths, endpoints.values(), control)
    return Config(service=service, control=control, endpoints=endpoints)


def _top(document: Table) -> None:
    check_keys(document, _TOP, "")
    version = document.get("version")
    # `version = true` must not pass for 1.
    if type(version) is not int or version != 1:
        raise Mistake(
            "version",
            "missing; write version = 1" if version is None else REASONS["version"],
            version,
        )


def _table(document: Table, key: str, mistakes: list[str]) -> Table:
    table = document.get(key, {})
    if isinstance(table, dict):
        return table
    mistakes.append(str(Mistake(key, f"must be a table: [{key}]", table)))
    return {}


def _control(table: Table, runtime: Path) -> ControlConfig:
    control = convert(ControlConfig, table, "control.")
    if not control.path or control.path.startswith("@") or control.path.endswith("/"):
        raise Mistake(
            "control.path", "must name a file: control requires permissions", control.path
        )
    absolute = check_address(str(runtime / control.path), "control.path", control.path)
    return msgspec.structs.replace(control, path=absolute)


def _endpoint(
    name: str, table: object, defaults: Table, runtime: Path, service: ServiceConfig
) -> EndpointConfig:
    where = f"endpoints.{escape(name)}"
    if not _NAME.match(name):
        raise Mistake(where, "a name is up to 64 letters, digits, dots, dashes and underscores")
    if not isinstance(table, dict):
        raise Mistake(where, f"must be a table: [endpoints.{name}]", table)
    keys = [key for key in EndpointConfig.__struct_fields__ if key != "name"]
    check_keys(table, keys, f"{where}.")
    path = table.get("path", str(runtime / f"{name}.sock"))
    barred = inapplicable(table.get("type"), table.get("framing", defaults.get("framing")), path)
    for key in table:
        if key in barred and table.get("type") in {"stream", "datagram", "seqpacket"}:
            raise Mistake(f"{where}.{key}", barred[key], table[key])
    check_faults(table, f"{where}.faults")
    kept = {key: value for key, value in defaults.items() if key not in barred}
    endpoint = convert(EndpointConfig, {**kept, **table, "name": name, "path": path}, f"{where}.")
    check_endpoint(endpoint, where, service)
    return endpoint
