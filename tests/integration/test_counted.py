"""Whatever is refused is counted by reason, and shown by `status` and `metrics`."""

from contextlib import ExitStack

import pytest

from localechod.echo.reasons import Reason
from localechod.limits import CONTROL_CONNECTIONS_PER_USER
from tests.integration.harness import Daemon, needs_root, receive, until

GAMES = 5  # an ordinary user of every Debian
STREAM = '[endpoints.a]\ntype = "stream"\nmode = "0666"\n'


@needs_root
def test_what_the_control_socket_refuses_is_counted_and_shown(daemon: Daemon) -> None:
    daemon.configure(STREAM)
    daemon.start()
    control = str(daemon.runtime / "control.sock")
    assert daemon.ctl("stop", "a", user=GAMES).returncode == 4
    with daemon.connect(control) as odd:
        odd.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while odd.recv(1000):
            pass
    with ExitStack() as stack:
        held = [
            stack.enter_context(daemon.connect(control))
            for _ in range(CONTROL_CONNECTIONS_PER_USER)
        ]
        assert all(sock.recv(1) for sock in held)
        with daemon.connect(control) as another:
            assert another.recv(1) == b""
    until(lambda: daemon.ctl("status").returncode == 0)
    errors = daemon.control_errors()
    expected = {Reason.NOT_PERMITTED: 1, Reason.INVALID_HTTP2: 1}
    assert {reason: errors.get(reason) for reason in expected} == expected
    # The 17th, and each attempt of localechoctl before the connections were closed.
    assert errors.keys() - expected.keys() == {Reason.USER_LIMIT}
    shown = daemon.ctl("status").stdout
    assert "\ncontrol socket: errors: invalid_http2 1, not_permitted 1, " in shown
    metrics = daemon.ctl("metrics").stdout
    assert 'localechod_control_errors_total{reason="invalid_http2"} 1\n' in metrics


@pytest.mark.parametrize("limit", ["max_connections = 1", "max_connections_per_user = 1"])
def test_a_client_that_is_not_served_is_counted(daemon: Daemon, limit: str) -> None:
    daemon.configure(STREAM + limit)
    daemon.start()
    with daemon.connect("a") as first, daemon.connect("a") as second:
        first.sendall(b"x\n")
        assert receive(first, 6) == b"Hi, x\n"
        daemon.ctl("stop", "a")
        assert second.recv(1) == b""
    per_user = "per_user" in limit
    reason = Reason.USER_LIMIT if per_user else Reason.ENDPOINT_STOPPED
    assert daemon.errors("a") == {reason: 1}
    labels = f'{{endpoint="a",type="stream",reason="{reason}"}}'
    assert f"localechod_errors_total{labels} 1\n" in daemon.ctl("metrics").stdout
