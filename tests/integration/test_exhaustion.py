"""When the machine has no more to give: no descriptor left for the next client."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.integration.harness import (
    DEADLINE,
    Daemon,
    cpu_seconds,
    descriptors,
    is_answered,
    receive,
    until,
)

STREAM = '[endpoints.a]\ntype = "stream"\nmode = "0666"\n'


@contextmanager
def followed(daemon: Daemon) -> Iterator["Follower"]:
    """Subscribe to events before the descriptors run out; a restart shows that it is done."""
    assert daemon.ctl("restart", "a").returncode == 0
    with subprocess.Popen(
        [sys.executable, "-m", "localechod.ctl", "events", "--follow", "--json"],
        env={**os.environ, "LOCALECHOD_CONTROL": str(daemon.runtime / "control.sock")},
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield Follower(process)
        finally:
            process.kill()


class Follower:
    """Reads events, one line at a time, with a deadline."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        self._descriptor = process.stdout.fileno()
        self._rest = b""

    def state(self, seconds: float = DEADLINE) -> str:
        """Return the next state that the endpoint gets; "" where it gets none in this time."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = max(deadline - time.monotonic(), 0)
            if not select.select([self._descriptor], [], [], left)[0]:
                return ""
            self._rest += os.read(self._descriptor, 65536)
        line, _, self._rest = self._rest.partition(b"\n")
        event = json.loads(line)
        return str(event["state"]) if event["endpoint"] == "a" else self.state(seconds)


@contextmanager
def tight(daemon: Daemon) -> Iterator[tuple[Follower, ExitStack]]:
    """Run it with one endpoint and few descriptors; clients are to be put on the stack."""
    daemon.configure(STREAM)
    daemon.launcher = ["prlimit", "--nofile=64:64"]
    daemon.start()
    with followed(daemon) as events, ExitStack() as stack:
        assert [events.state() for _ in range(3)] == ["stopped", "starting", "listening"]
        yield events, stack


def test_without_descriptors_it_is_degraded_waits_without_spinning_and_recovers(
    either: Daemon,
) -> None:
    with tight(either) as (events, stack):
        clients = [stack.enter_context(either.connect("a")) for _ in range(36)]
        assert events.state() == "degraded"
        for client in clients:
            client.sendall(b"x\n")
        until(lambda: is_answered(clients[0]))
        before = cpu_seconds(either.pid)
        # Longer than the rest that it takes before it tries again: no news, and no work.
        assert events.state(2.5) == ""
        assert cpu_seconds(either.pid) - before < 0.2
        assert warnings(either) == ["WARNING: a: degraded: accept failed: Too many open files (24)"]
        served = [client for client in clients if is_answered(client)]
        waiting = [client for client in clients if client not in served]
        assert 0 < len(waiting) < len(served)
        # One leaves, and one of those who wait takes its place.
        served[0].close()
        until(lambda: any(map(is_answered, waiting)))
        assert receive(served[1], 6) == b"Hi, x\n"
        assert events.state(0.5) == ""
        for client in served[1:]:
            client.close()
        assert events.state() == "listening"
        until(lambda: all(map(is_answered, waiting)))
    assert len(warnings(either)) == 1


def test_with_the_last_descriptor_taken_and_nobody_waiting_it_is_degraded_until_one_leaves(
    either: Daemon,
) -> None:
    with tight(either) as (events, stack):
        clients = []
        while either.row("a")["state"] == "listening":
            clients.append(stack.enter_context(either.connect("a")))
            clients[-1].sendall(b"x\n")
            assert receive(clients[-1], 6) == b"Hi, x\n"  # none of them waits
        assert events.state() == "degraded"
        for client in clients[:20]:
            client.close()
        assert events.state() == "listening"


def test_without_descriptors_for_clients_the_daemon_can_still_be_asked(either: Daemon) -> None:
    either.configure(STREAM + '[endpoints.d]\ntype = "datagram"\nmode = "0666"\n')
    either.launcher = ["prlimit", "--nofile=64:64"]
    either.start()
    with followed(either) as events, ExitStack() as stack:
        assert [events.state() for _ in range(3)] == ["stopped", "starting", "listening"]
        for _ in range(64):
            stack.enter_context(either.connect("a"))
        assert events.state() == "degraded"
        for name in "xyz":  # senders with a path, whose sockets the daemon opens to answer them
            sock = stack.enter_context(either.connect("d", socket.SOCK_DGRAM))
            sock.bind(str(either.directory / name))
            (either.directory / name).chmod(0o666)
            sock.send(b"x")
            assert sock.recv(100) == b"Hi, x"
        for _ in range(3):
            assert either.row("a")["state"] == "degraded"
        assert either.ctl("restart", "d").returncode == 0
        assert either.ctl("reload").returncode == 0
        assert either.errors("d") == {}
    assert "Traceback" not in either.log.read_text(encoding="utf-8")


def test_without_any_descriptor_localechoctl_says_so_in_a_line(either: Daemon) -> None:
    either.configure(STREAM)
    either.launcher = ["prlimit", "--nofile=48:48"]
    either.start()
    with ExitStack() as stack:
        for _ in range(48):
            stack.enter_context(either.connect("a"))
        until(lambda: descriptors(either.pid) == 36)
        # The rest, a quarter, is the control plane's; here it is gone as well.
        controls = [
            stack.enter_context(either.connect(str(either.runtime / "control.sock")))
            for _ in range(14)
        ]
        until(lambda: descriptors(either.pid) == 48)
        found = either.ctl("status")
        assert found.returncode == 1
        assert found.stderr.startswith("control call failed: ")
        assert len(found.stderr.splitlines()) == 1
        for control in controls:
            control.close()
        until(lambda: either.ctl("status").returncode == 0)


def test_when_somebody_else_gives_descriptors_back_it_recovers_too(daemon: Daemon) -> None:
    daemon.configure(STREAM + '[endpoints.b]\ntype = "stream"\nmode = "0666"\n')
    daemon.launcher = ["prlimit", "--nofile=48:48"]
    daemon.start()
    with followed(daemon) as events, ExitStack() as stack:
        assert [events.state() for _ in range(3)] == ["stopped", "starting", "listening"]
        others = [stack.enter_context(daemon.connect("b")) for _ in range(64)]
        others[0].sendall(b"x\n")
        until(lambda: is_answered(others[0]))
        waiting = stack.enter_context(daemon.connect("a"))
        waiting.sendall(b"x\n")
        assert events.state() == "degraded"
        for other in others:
            other.close()
        assert events.state() == "listening"
        assert receive(waiting, 6) == b"Hi, x\n"


def warnings(daemon: Daemon) -> list[str]:
    """Return what the log says of the endpoint's state as a warning, without the remedy."""
    lines = daemon.log.read_text(encoding="utf-8").splitlines()
    return [line.partition(";")[0] for line in lines if line.startswith("WARNING: a: ")]
