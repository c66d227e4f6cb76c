"""Fixtures and the setting of signals that all tests share."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# An example takes as long as the machine is busy: its time is no part of what a test claims.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    # A shell starts a job in the background with SIGINT ignored, and a command that a test starts
    # would inherit that. The commands are to be ended by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def sockdir() -> Iterator[Path]:
    """A short directory open to every user: pytest's own paths overflow sun_path."""
    directory = Path(tempfile.mkdtemp(prefix="le-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
