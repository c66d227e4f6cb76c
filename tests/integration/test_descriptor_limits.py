"""A limit of descriptors that is too small for a configuration, with a thousand real endpoints."""

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.integration.harness import Daemon, receive, until

COUNT = 1000
PATHS = 3 * COUNT  # descriptors: a socket, its directory, its file


def endpoints(count: int, mode: str = "0666") -> str:
    return "".join(
        f'[endpoints.e{number}]\ntype = "stream"\nmode = "{mode}"\n' for number in range(count)
    )


@contextmanager
def limited(to: int) -> Iterator[None]:
    """Have the daemon started with this limit, which it inherits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (to, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_with_too_few_for_the_endpoints_the_start_is_refused_with_the_figures(
    daemon: Daemon,
) -> None:
    daemon.configure(endpoints(COUNT))
    with limited(PATHS + 100):
        refused = daemon.run()
    assert refused.returncode == 78
    assert refused.stderr.count("\n") == 1
    assert f"the limit is {PATHS + 100}; {COUNT} endpoints take {PATHS}, " in refused.stderr
    assert "LimitNOFILE=" in refused.stderr
    assert not (daemon.runtime / "control.sock").exists()
    assert not list(daemon.runtime.glob("*.sock"))


def test_with_few_for_clients_it_serves_and_warns(daemon: Daemon) -> None:
    daemon.configure(endpoints(COUNT))
    limit = PATHS + 128 + 16 + 500
    with limited(limit):
        checked = daemon.run("--check")
        daemon.start()
    warning = f"descriptors for 500 clients only: the limit is {limit}; "
    assert warning in checked.stderr
    assert checked.returncode == 0
    assert warning in daemon.log.read_text("utf-8")
    status = json.loads(daemon.ctl("status", "--json").stdout)
    assert {each["state"] for each in status["endpoints"]} == {"listening"}
    with daemon.connect("e999") as sock:
        sock.sendall(b"x\n")
        assert receive(sock, 6) == b"Hi, x\n"


def test_a_reload_to_more_than_there_are_changes_nothing(daemon: Daemon) -> None:
    daemon.configure(endpoints(10))
    with limited(1024):
        daemon.start()
    daemon.configure(endpoints(COUNT))
    refused = daemon.ctl("reload")
    assert refused.returncode == 78
    assert f"{COUNT} endpoints take {PATHS}" in refused.stderr
    assert "nothing was changed" in refused.stderr
    assert len(daemon.rows()) == 10
    # By signal, the log has it.
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: daemon.log.read_text("utf-8").count("too few descriptors") >= 1)
    assert len(daemon.rows()) == 10
    daemon.configure(endpoints(11))
    assert daemon.ctl("reload").returncode == 0
    assert len(daemon.rows()) == 11


def test_a_reload_that_takes_no_more_is_not_refused_however_many_the_clients_have(
    daemon: Daemon,
) -> None:
    daemon.configure(endpoints(20))
    with limited(160):
        daemon.start()
    with ExitStack() as stack:
        for _ in range(30):
            client = stack.enter_context(daemon.connect("e1"))
            client.sendall(b"x\n")
            assert receive(client, 6) == b"Hi, x\n"
        daemon.configure(endpoints(29))  # 87 and 16 of 120, without the clients
        refused = daemon.ctl("reload")
        assert refused.returncode == 78
        assert ", 30 of connections and moves; nothing was changed; " in refused.stderr
        daemon.configure(endpoints(20, "0660"))  # bound again in the same place
        assert daemon.ctl("reload").returncode == 0


def test_the_control_socket_is_there_before_the_endpoints(daemon: Daemon) -> None:
    """An endpoint that needs the last descriptors is failed, and an administrator can ask why."""
    daemon.configure(endpoints(20))
    with limited(256):
        daemon.start()
    created = {path.name: path.stat().st_ctime_ns for path in daemon.runtime.glob("*.sock")}
    assert min(created, key=lambda name: created[name]) == "control.sock"
