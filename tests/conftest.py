"""Fixtures that every room of the tests shares."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def sockdir() -> Iterator[Path]:
    """A short directory open to every user: pytest's own paths overflow sun_path."""
    directory = Path(tempfile.mkdtemp(prefix="le-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
