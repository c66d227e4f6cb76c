"""The bare Debian that the tests in this directory install on: 12, unless DEBIAN names another.

`DEBIAN=trixie ./dev test tests/release` follows the same routes on another suite.
"""

import os
from contextlib import AbstractContextManager

from tests.release.debian import PROJECT, bare, missing
from tests.system.machine import Machine

__all__ = ["PROJECT", "SUITE", "bookworm", "missing"]

SUITE = os.environ.get("DEBIAN", "bookworm")


def bookworm() -> AbstractContextManager[Machine]:
    """Boot it; as `bare`."""
    return bare(SUITE)
