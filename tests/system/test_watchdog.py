"""The watchdog asks the data plane: an event loop that lives on alone does not satisfy it."""

from pathlib import Path

import pytest

from tests.system.conftest import RUNTIME, SERVICE, override, say, settled
from tests.system.machine import Machine, eventually

pytestmark = pytest.mark.xdist_group("machine")

UNPLUG = Path(__file__).with_name("unplug.py")
PYTHON = ("/opt/localechod/bin/python", "-I")


def test_a_data_plane_that_stands_still_is_killed_and_started_again(service: Machine) -> None:
    override(service, "WatchdogSec=4", "RestartSec=3")
    service.run("systemctl", "restart", SERVICE)
    pid = service.show(SERVICE, "MainPID")
    service.write("/run/localechod-unplug.py", UNPLUG.read_text())
    service.run(*PYTHON, "/run/localechod-unplug.py", pid)
    # The endpoints are silent, and the loop is not: it still talks to localechoctl.
    silent = service.process("localechoctl", "send", "--timeout", "0.5", "stream", "hello")
    assert "no reply within" in silent.stderr
    assert f"pid {pid}," in say(service, "status")
    assert service.show(SERVICE, "MainPID") == pid
    eventually(
        lambda: service.show(SERVICE, "Result") == "watchdog", 30, "the watchdog to have bitten"
    )
    # A client that connects meanwhile waits, and the next process answers it.
    waited = service.run("sh", "-c", f"echo hello | socat -t30 - UNIX:{RUNTIME}/stream.sock")
    assert waited == "Hi, hello"
    settled(service, "active")
    assert service.show(SERVICE, "NRestarts") == "1"
    assert service.show(SERVICE, "MainPID") != pid
    for name in ("stream", "datagram", "seed"):
        assert say(service, "send", name, "hello") == "Hi, hello"
    said = service.run("journalctl", "--no-pager", "--unit", SERVICE, "--lines", "30")
    assert "Watchdog timeout" in said
