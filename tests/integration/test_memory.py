"""Clients that take all that the shipped configuration gives them, and the unit's MemoryMax=."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.harness import CHECKOUT, Daemon, needs_root, until
from tests.integration.manager import Manager

pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")

UNIT = CHECKOUT / "packaging/systemd/localechod.service"
CLIENTS = 1024  # max_connections of each of the two stream endpoints
MIB = 1 << 20


class MemoryGroup:
    """A control group of version 1 or 2 that counts memory, the kernel's for sockets included."""

    def __init__(self) -> None:
        _, _, own = next(
            row
            for row in (line.split(":", 2) for line in _lines("/proc/self/cgroup"))
            if "memory" in row[1].split(",") or row[0] == "0"
        )
        first = Path("/sys/fs/cgroup/memory")
        root = first if first.is_dir() else Path("/sys/fs/cgroup")
        self._own, self._made = root / own.strip("/"), root / f"localechod-test-{os.getpid()}"
        self._peak = "memory.max_usage_in_bytes" if first.is_dir() else "memory.peak"

    @contextmanager
    def made(self) -> Iterator["MemoryGroup"]:
        """Make it, and remove it when all its processes have ended."""
        try:
            self._made.mkdir()
        except OSError as error:
            pytest.skip(f"no control group can be made here: {error}")
        try:
            if not (self._made / self._peak).exists():
                pytest.skip("control groups here do not count memory")
            yield self
        finally:
            self._made.rmdir()

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Have the processes that are started meanwhile in it."""
        (self._made / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield
        finally:
            (self._own / "cgroup.procs").write_text(str(os.getpid()))

    def peak(self) -> int:
        """Return the most bytes that it ever had."""
        return int((self._made / self._peak).read_text())


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def memory_max() -> int:
    (value,) = (line[10:] for line in _lines(str(UNIT)) if line.startswith("MemoryMax="))
    return int(value.removesuffix("G")) << 30


@needs_root
def test_the_shipped_configuration_at_its_limits_stays_below_the_units(daemon: Daemon) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 4 * CLIENTS:
        pytest.skip(f"{4 * CLIENTS} descriptors are needed, and this machine allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # One user is to stand for many: each has at most 256 of an endpoint's connections.
    head = f'[defaults]\nmode = "0666"\nmax_connections_per_user = {CLIENTS}\n'
    daemon.configure(head + '[endpoints.a]\ntype = "stream"\n[endpoints.b]\ntype = "stream"\n')
    with MemoryGroup().made() as group, ExitStack() as stack:
        manager = Manager(daemon)
        stack.callback(manager.close)
        with group.joined():
            manager.start()
        names = ["a"] * CLIENTS + ["b"] * CLIENTS
        _fill(daemon, [stack.enter_context(daemon.connect(name)) for name in names])
        with group.joined():
            manager.restart()
        peak = group.peak()
    assert 256 * MIB < peak < memory_max()


def _fill(daemon: Daemon, clients: list[socket.socket]) -> None:
    """Send newlines, whose replies are longer, until nothing more is taken; read nothing."""
    for client in clients:
        client.setblocking(False)

    def is_stuck() -> bool:
        more = 0
        for _ in range(5):
            for client in clients:
                with suppress(OSError):  # full, or closed for the memory that it takes
                    while client.send(b"\n" * 60_000):
                        more += 1
            assert daemon.ctl("status").returncode == 0  # so it has had its turn
        return not more

    until(is_stuck, 100)  # as long as the daemon takes on a busy machine
