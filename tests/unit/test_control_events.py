"""The client of the event stream: one connection, made by our hooks into grpclib."""

import asyncio
import socket
from pathlib import Path

import pytest

from localechod.control import channel
from localechod.control.connect import connected
from localechod.control.events import EventClient
from localechod.localsocket.address import Address
from tests.unit.control_fakes import FakeDaemon, run, served


def test_grpclib_connects_and_makes_its_protocol_by_our_hooks(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if grpclib no longer calls `_create_connection` and `_protocol_factory`."""
    path = sockdir / "control.sock"
    used = []

    def connecting(address: Address, seconds: float | None = None) -> socket.socket:
        used.append("_create_connection")
        return connected(address, seconds)

    class Protocol(channel._Protocol):
        def data_received(self, data: bytes) -> None:
            used.append("_protocol_factory")
            super().data_received(data)

    monkeypatch.setattr(channel, "connected", connecting)
    monkeypatch.setattr(channel, "_Protocol", Protocol)

    async def main() -> None:
        async with served(path, FakeDaemon()), EventClient(str(path)) as client:
            assert (await client.status()).endpoints

    run(asyncio.new_event_loop, main)
    assert used[0] == "_create_connection"
    assert "_protocol_factory" in used


def test_one_client_makes_many_calls_over_one_connection(sockdir: Path) -> None:
    path = sockdir / "control.sock"

    async def main() -> None:
        async with served(path, FakeDaemon()) as server, EventClient(str(path)) as client:
            await asyncio.gather(*(client.status() for _ in range(20)))
            assert len(server._interceptor.connections) == 1

    run(asyncio.new_event_loop, main)
