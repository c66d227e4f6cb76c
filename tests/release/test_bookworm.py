"""The bare Debian that the routes are followed on is as bare as a stranger's."""

import pytest

from tests.release import on
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


@pytest.mark.parametrize("user", [[], ["--user"]])
def test_the_tests_run_on_it(user: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    if missing():
        pytest.skip(missing())
    account = "tests/unit/test_accounts.py"
    assert on.main([SUITE, *user, account]) == 0
    said = capfd.readouterr()
    assert " passed" in said.out
    assert f"Python {SUITES[SUITE]}" in said.out


def test_another_suite_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert on.main(["sid"]) == 2
    assert "bookworm|trixie|forky" in capsys.readouterr().err
