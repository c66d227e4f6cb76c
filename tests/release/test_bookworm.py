"""The bare Debian that the routes are followed on is as bare as a stranger's."""

import pytest

from tests.release.bookworm import PROJECT, SUITE, bookworm, missing
from tests.release.debian import SUITES


def test_it_has_neither_python_nor_a_compiler_and_reaches_its_mirrors() -> None:
    if missing():
        pytest.skip(missing())
    with bookworm() as debian:
        for absent in ("python3", "gcc", "pip", "git", "make"):
            assert debian.process("which", absent).returncode == 1, absent
        assert debian.run("test", "-x", f"{PROJECT}/dev") == ""
        debian.run("apt-get", "-qq", "update")
        assert f"Candidate: {SUITES[SUITE]}" in debian.run("apt-cache", "policy", "python3")
