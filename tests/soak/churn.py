"""Very many clients one after the other, and odd ones: what is left of them is nothing."""

import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from tests.fuzz.junk import opened
from tests.soak.target import Report, Target, started

_MIB = 1 << 20

# Bytes that the daemon may have more than after the first tenth of a load: the allocator's own.
_GROWTH = 4 * _MIB


def _echo(target: Target, kind: str) -> None:
    with target.open(kind) as sock:
        if not target.echo(sock):
            raise AssertionError(f"{kind}: no answer, or a wrong one")


def _half_close(target: Target, kind: str) -> None:
    with target.open(kind) as sock:
        sock.send(b"not a whole line")
        sock.shutdown(socket.SHUT_WR)


def _unread(target: Target, kind: str) -> None:
    with target.open(kind) as sock:
        sock.send(b"never read\n")


def _killed(target: Target, kind: str) -> None:
    """Vanish with data under way in both directions, as a client does that is killed."""
    sock = target.open(kind)
    sock.setblocking(False)
    with suppress(OSError):
        for _ in range(20):
            sock.send(b"x" * 99 + b"\n")
    sock.close()


def _silent(target: Target, kind: str) -> None:
    target.open(kind).close()


def _huge(target: Target, kind: str) -> None:
    with target.open(kind) as sock, suppress(OSError):
        sock.setblocking(False)
        for _ in range(40):
            sock.send(b"x" * 16000)


def _flood(target: Target, kind: str) -> None:
    with target.open(kind) as sock, suppress(OSError):
        sock.setblocking(False)
        for _ in range(50):
            sock.send(b"\n" * 1000)


def _passing(target: Target, kind: str) -> None:
    kinds = ("null", "pipe", "pair", "memory", "directory")
    with target.open(kind) as sock, opened(kinds, sock) as descriptors, suppress(OSError):
        sock.setblocking(False)
        for _ in range(5):
            socket.send_fds(sock, [b"take these\n"], descriptors)


_MANY = (_echo, _echo, _echo, _echo, _half_close, _unread, _killed, _silent)
_ODD = (_huge, _flood, _passing, _killed, _half_close, _unread)


def churn(report: Report, count: int) -> None:
    """Connect so many times over all types, most to be answered, the others to leave badly."""
    chosen = random.Random(7)  # noqa: S311 - the same load each time
    kinds = ("stream", "sequence", "datagram")

    def many(target: Target, times: int) -> None:
        for turn in range(times):
            chosen.choice(_MANY)(target, kinds[turn % 3])

    _flat(report, "connects, one after the other", count, many)


def odd(report: Report, count: int) -> None:
    """Send huge lines, floods and descriptors, while clients that read slowly stay connected.

    All of these connect first. An endpoint with many connections has an epoll of its own, which
    remains, and which the count before the load has to include.
    """
    chosen = random.Random(8)  # noqa: S311 - the same load each time
    kinds = ("stream", "sequence", "datagram")

    def many(target: Target, times: int) -> None:
        slow = [_slow(target) for _ in range(20)]
        for turn in range(times):
            chosen.choice(_ODD)(target, kinds[turn % 3])
            if turn % 50 == 0:
                slow.pop(0).close()
                slow.append(_slow(target))
            for sock in slow:
                with suppress(OSError):
                    sock.send(b"x" * 999 + b"\n")
                    sock.recv(100)
        while slow:
            slow.pop().close()

    _flat(report, "odd clients among slow readers", count, many)


def _slow(target: Target) -> socket.socket:
    sock = target.open("stream")
    target.echo(sock)  # so it is accepted
    sock.setblocking(False)
    return sock


def _flat(report: Report, what: str, count: int, many: Callable[[Target, int], None]) -> None:
    with started(1000) as target:
        many(target, max(count // 10, 1))
        _answered(target)
        open_before = target.settled(0, 1)
        tasks, threads, memory = target.tasks(), target.threads(), target.resident()
        began = time.monotonic()
        many(target, count)
        seconds = time.monotonic() - began
        served = _answered(target)
        left = target.settled(open_before)
        growth = target.resident() - memory
        errors = sum((Counter(row["errors"]) for row in target.daemon.rows().values()), Counter())
        connections = sum(row["connections"] for row in target.daemon.rows().values())
        tasks_after, threads_after = target.tasks(), target.threads()
    report.add(what, f"{count:,} in {seconds:.0f} s")
    report.add("  errors counted, of all kinds", f"{sum(errors.values()):,}")
    report.add(
        "  an honest client afterwards", "answered" if served else "not", "answered", fine=served
    )
    report.add("  connections left", str(connections), "0", fine=not connections)
    report.add(
        "  descriptors",
        f"{left} (was {open_before})",
        "as before",
        fine=left <= open_before,
    )
    report.add(
        "  asyncio tasks", f"{tasks_after} (was {tasks})", "as before", fine=tasks_after <= tasks
    )
    report.add(
        "  threads", f"{threads_after} (was {threads})", "as before", fine=threads_after <= threads
    )
    report.add(
        "  memory", f"{growth / _MIB:+.1f} MiB", f"< {_GROWTH // _MIB} MiB", fine=growth < _GROWTH
    )


def _answered(target: Target) -> bool:
    for kind in ("stream", "sequence", "datagram"):
        with target.open(kind) as sock:
            if not target.echo(sock):
                return False
    return True
