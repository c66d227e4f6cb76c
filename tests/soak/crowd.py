"""Very many clients at once, mostly idle; then more of them than there are descriptors."""

import select
import time
from contextlib import ExitStack

from tests.soak.target import Report, started

_KIB = 1024

# Bytes of an idle stream connection: the objects of our own, without the kernel's.
_PER_CONNECTION = 4 * _KIB

# Seconds until someone new is answered after the crowd has left: a rest and a turn.
_RECOVERY = 10.0


def crowd(report: Report, count: int) -> None:
    """Connect so many, have each answered once, look at the memory, and have all answered again.

    The epoll that an endpoint has for many connections remains: one descriptor.
    """
    with started(count) as target:
        with target.open("stream") as first:
            answered = target.echo(first)
        before, open_before = target.resident(), target.descriptors()
        with ExitStack() as stack:
            clients = [stack.enter_context(target.open("stream")) for _ in range(count)]
            answered = answered and all(target.echo(client) for client in clients)
            each = (target.resident() - before) / count
            again = sum(target.echo(client) for client in clients)
        left = target.settled(open_before + 1)
    report.add("connections at once, mostly idle", f"{count:,}")
    report.add(
        "  memory for each",
        f"{each:,.0f} bytes",
        f"< {_PER_CONNECTION:,}",
        fine=each < _PER_CONNECTION,
    )
    report.add(
        "  answered, and answered once more",
        f"{again:,}",
        f"{count:,}",
        fine=answered and again == count,
    )
    report.add(
        "  descriptors when they have left",
        f"{left} (was {open_before})",
        "as before + 1",
        fine=left <= open_before + 1,
    )


def exhaustion(report: Report, descriptors: int) -> None:
    """Connect more clients than there are descriptors; as they leave, see the others served."""
    with started(2 * descriptors, descriptors_=descriptors) as target, ExitStack() as stack:
        open_before = target.descriptors()
        count = descriptors + 50
        clients = [stack.enter_context(target.open("stream")) for _ in range(count)]
        for client in clients:
            client.sendall(b"x\n")
        poll = select.poll()
        for client in clients:
            poll.register(client, select.POLLIN)
        served: set[int] = set()
        while ready := {fd for fd, _ in poll.poll(1000)}:
            served |= ready
            for fd in ready:
                poll.unregister(fd)
        waiting = [client for client in clients if client.fileno() not in served]
        state = target.daemon.row("stream")["state"]
        began = time.monotonic()
        for client in [client for client in clients if client not in waiting]:
            client.close()
        late = 0
        for client in waiting:
            late += client.recv(16) == b"Hi, x\n"
            client.close()
        seconds = time.monotonic() - began
        recovered = target.daemon.row("stream")["state"]
        left = target.settled(open_before + 1)
    report.add("clients of a daemon without descriptors", f"{len(clients):,} of {descriptors:,}")
    report.add("  served at once, and waiting", f"{len(served):,} and {len(waiting):,}")
    report.add("  state meanwhile", state, "degraded", fine=state == "degraded" and bool(waiting))
    report.add(
        "  answered when the others had left",
        f"{late:,}",
        f"{len(waiting):,}",
        fine=late == len(waiting),
    )
    report.add(
        "  all of them after", f"{seconds:.2f} s", f"< {_RECOVERY:.0f} s", fine=seconds < _RECOVERY
    )
    report.add("  state then", recovered, "listening", fine=recovered == "listening")
    report.add(
        "  descriptors when they have left",
        f"{left} (was {open_before})",
        "as before + 1",
        fine=left <= open_before + 1,
    )
