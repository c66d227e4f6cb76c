"""Situations of a client, each with the errno that connect(2) returns in it."""

from tests.integration.situations import jumps, listeners, namespaces, paths, people, rights
from tests.integration.situations.table import SITUATIONS, Situation

__all__ = [
    "SITUATIONS",
    "Situation",
    "jumps",
    "listeners",
    "namespaces",
    "paths",
    "people",
    "rights",
]
