"""A daemon for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Daemon


@pytest.fixture
def daemon(sockdir: Path) -> Iterator[Daemon]:
    """A daemon that is not started yet, ended for sure."""
    daemon = Daemon(sockdir)
    yield daemon
    daemon.kill()
