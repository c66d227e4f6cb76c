"""reload: the report, and a configuration that is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localechod.control.messages import ReloadReport
from localechod.ctl import app
from localechod.errors import ConfigError
from tests.unit.control_fakes import Live, live

Run = Callable[..., int]


@pytest.fixture
def daemon(sockdir: Path) -> Iterator[Live]:
    with live(sockdir / "control.sock") as running:
        yield running


@pytest.fixture
def ctl(daemon: Live) -> Run:
    return lambda *words: app.run(["--control", str(daemon.path), *words])


def test_reload_prints_what_it_added_changed_and_removed(
    daemon: Live, ctl: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.daemon.report = ReloadReport(
        added=("a", "b"),
        changed=("c",),
        removed=("d",),
        unchanged=("e",),
        restart_needed=("service.user",),
    )
    assert ctl("reload") == 0
    assert capsys.readouterr().out == (
        "added: a, b\nchanged: c\nremoved: d\nrestart needed: service.user\n"
    )
    assert ctl("reload", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "added": ["a", "b"],
        "changed": ["c"],
        "removed": ["d"],
        "unchanged": ["e"],
        "restart_needed": ["service.user"],
    }


def test_a_reload_without_a_difference_says_so(
    daemon: Live, ctl: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.daemon.report = ReloadReport(unchanged=("stream",))
    assert ctl("reload") == 0
    assert capsys.readouterr().out == "nothing has changed\n"


def test_an_invalid_configuration_is_exit_status_78_with_every_mistake_on_its_line(
    daemon: Live, ctl: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.daemon.failure = ConfigError("/etc/x.toml: one\n/etc/x.toml: another")
    assert ctl("reload") == 78
    captured = capsys.readouterr()
    assert captured.err == "/etc/x.toml: one\n/etc/x.toml: another\n"
    assert captured.out == ""
