"""What arrives on systemd's notification socket."""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localechod.errors import LocalechodError
from localechod.host.systemd import Notifier, watchdog_period


@pytest.fixture
def manager(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[socket.socket]:
    """A service manager's end of NOTIFY_SOCKET."""
    pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        address = str(sockdir / "notify")
        end.bind(address)
        end.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield end


def received(end: socket.socket) -> list[str]:
    return end.recv(4096).decode().splitlines()


def test_every_message_arrives_as_sd_notify_has_it(manager: socket.socket) -> None:
    notifier = Notifier()
    assert notifier.supervised
    notifier.ready()
    assert received(manager) == ["READY=1"]
    notifier.ready("serving 3 of 4 endpoints")
    assert received(manager) == ["READY=1", "STATUS=serving 3 of 4 endpoints"]
    notifier.status("degraded")
    assert received(manager) == ["STATUS=degraded"]
    notifier.status("")
    assert received(manager) == ["STATUS="]
    notifier.stopping("draining")
    assert received(manager) == ["STOPPING=1", "STATUS=draining"]
    notifier.watchdog()
    assert received(manager) == ["WATCHDOG=1"]


def test_a_newline_in_a_status_cannot_start_another_variable(manager: socket.socket) -> None:
    Notifier().status("a\nMAINPID=1")
    assert received(manager) == ["STATUS=a\\nMAINPID=1"]


def test_an_abstract_address_works_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("")  # the kernel chooses a free abstract name
        end.settimeout(5)
        name = end.getsockname()
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name[1:].decode())
        Notifier().ready()
        assert received(end) == ["READY=1"]


def test_children_never_inherit_the_address(manager: socket.socket) -> None:
    notifier = Notifier()
    assert "NOTIFY_SOCKET" not in os.environ
    notifier.ready()
    assert received(manager) == ["READY=1"]
    assert "NOTIFY_SOCKET" not in os.environ


def test_a_manager_that_is_gone_is_logged_and_harms_nothing(
    manager: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier()
    manager.close()
    with caplog.at_level(logging.WARNING):
        notifier.watchdog()
    assert "notifying systemd failed" in caplog.text
    assert "NOTIFY_SOCKET" not in os.environ


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}])
def test_without_a_manager_nothing_is_said(environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    assert not notifier.supervised
    notifier.ready("without a manager")
    assert "NOTIFY_SOCKET" not in environ


def test_started_by_systemd_without_systemd_python_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "systemd.daemon", None)
    with pytest.raises(LocalechodError) as caught:
        Notifier({"NOTIFY_SOCKET": "/run/systemd/notify"})
    assert "systemd-python is not installed" in caught.value.text
    assert "libsystemd-dev" in caught.value.hint
    assert "python3-systemd" in caught.value.hint
    Notifier({})  # where nobody waits it is not needed


@pytest.mark.parametrize(
    ("environ", "period"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_systemd_asks(
    environ: dict[str, str], period: float | None
) -> None:
    assert watchdog_period(environ, pid=7) == period
