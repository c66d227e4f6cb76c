"""A daemon for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Daemon


@pytest.fixture
def daemon(sockdir: Path) -> Iterator[Daemon]:
    """A daemon that is not started yet; whatever a test did to it, it has to end in peace."""
    daemon = Daemon(sockdir)
    try:
        yield daemon
        if daemon.process is not None and daemon.process.poll() is None:
            assert daemon.stop() == 0, daemon.log.read_text(encoding="utf-8")
    finally:
        daemon.kill()


@pytest.fixture(params=["compiled", "Python"])
def either(daemon: Daemon, request: pytest.FixtureRequest) -> Daemon:
    """The daemon as it should be, and in nothing but Python."""
    if request.param == "Python":
        daemon.environment["LOCALECHOD_PURE_PYTHON"] = "1"
    return daemon
