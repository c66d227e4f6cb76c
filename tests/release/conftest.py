"""The tests in this directory fetch, build and boot: what takes minutes here does not hang."""

import faulthandler

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Call off pyproject.toml's end after two minutes: commands have a deadline each."""
    faulthandler.cancel_dump_traceback_later()
