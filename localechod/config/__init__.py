"""The configuration: TOML in, typed values out, validated before anything changes."""

from localechod.config.changes import Changes, compare
from localechod.config.reader import default_text, load, parse
from localechod.config.rules import warnings
from localechod.config.schema import Config, ControlConfig, EndpointConfig, ServiceConfig
from localechod.config.writer import dump

__all__ = [
    "Changes",
    "Config",
    "ControlConfig",
    "EndpointConfig",
    "ServiceConfig",
    "compare",
    "default_text",
    "dump",
    "load",
    "parse",
    "warnings",
]
