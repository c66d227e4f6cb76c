"""Writes a Config as TOML that validates to the same Config again."""

from typing import Any

import msgspec
import tomli_w

from localechod.config.schema import Config, EndpointConfig


def dump(config: Config) -> str:
    """Return the effective configuration, every default written out."""
    return tomli_w.dumps(
        {
            "version": 1,
            "service": _plain(config.service),
            "control": _plain(config.control),
            "endpoints": {name: _endpoint(endpoint) for name, endpoint in config.endpoints.items()},
        }
    )


def _endpoint(endpoint: EndpointConfig) -> dict[str, Any]:
    # The reader refuses keys that do not apply.
    plain = _plain(endpoint)
    del plain["name"]
    if not plain["faults"]:
        del plain["faults"]
    return {key: value for key, value in plain.items() if endpoint.applies(key)}


def _plain(struct: msgspec.Struct) -> dict[str, Any]:
    # TOML has no null: a key that is not set is left out.
    return {key: value for key, value in msgspec.to_builtins(struct).items() if value is not None}
