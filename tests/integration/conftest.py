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


@pytest.fixture(params=["uvloop", "asyncio"])
def either(daemon: Daemon, request: pytest.FixtureRequest) -> Daemon:
    """The daemon as it should be, and in nothing but Python: no uvloop, no compiled loop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
        return daemon
    hidden = daemon.directory / "hidden"
    hidden.mkdir()
    (hidden / "uvloop.py").write_text("raise ImportError('hidden')\n", encoding="utf-8")
    daemon.environment["PYTHONPATH"] = f"{hidden}:{Path.cwd()}"
    daemon.environment["LOCALECHOD_PURE_PYTHON"] = "1"
    return daemon
