"""The built-in echo servers: each transport replies, and no process is left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localechod.bench.echo_servers import TRANSPORTS, Transport, echo_server
from localechod.bench.measurement import EchoTarget, Plan, measure

ROOT = Path(__file__).parents[2]
PLAN = Plan(100, 3, 2, seconds=0.01, repeats=2, timeout=20, processor=None)

each_transport = pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda each: each.name)


@each_transport
def test_an_echo_server_replies_and_exits(transport: Transport, sockdir: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, nothing else
    steps = []
    with echo_server(transport, PLAN.connections, sockdir) as (pid, channels):
        target = EchoTarget(transport.name, channels, pid)
        measure([target], PLAN, lambda: steps.append(1))
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - see above
    assert target.result.failure is None
    assert len(target.result.rounds) == PLAN.repeats
    assert len(steps) == PLAN.repeats + 1
    assert target.result.latencies.count >= PLAN.repeats * PLAN.connections * PLAN.in_flight


def test_a_killed_server_is_a_failure_and_the_others_are_measured_on(sockdir: Path) -> None:
    with (
        echo_server(TRANSPORTS[0], 1, sockdir) as (pid, channels),
        echo_server(TRANSPORTS[-1], 1, sockdir) as (other, pipes),
    ):
        targets = [EchoTarget("killed", channels, pid), EchoTarget("other", pipes, other)]
        ticks = []

        def kill() -> None:
            ticks.append(1)
            if len(ticks) == 2:
                os.kill(pid, signal.SIGKILL)

        measure(targets, PLAN, kill)
    killed, survivor = (target.result for target in targets)
    assert killed.failure is not None
    assert not killed.rounds
    assert survivor.failure is None
    assert len(survivor.rounds) == PLAN.repeats


def test_echo_servers_exit_when_their_parent_is_killed(sockdir: Path) -> None:
    script = (
        "import sys\n"
        "from contextlib import ExitStack\n"
        "from pathlib import Path\n"
        "from localechod.bench.echo_servers import TRANSPORTS, echo_server\n"
        "with ExitStack() as stack:\n"
        "    for each in TRANSPORTS:\n"
        "        pid, _ = stack.enter_context(echo_server(each, 2, Path(sys.argv[1])))\n"
        "        print(pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, sockdir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as parent:
        assert parent.stdout is not None
        assert [int(parent.stdout.readline()) for _ in TRANSPORTS]
        parent.kill()
        # Each echo server has standard output open as well: end of file means that all have exited.
        assert parent.stdout.read() == b""
