"""An activated socket turns clients away without spinning, and is not used after its close."""

import asyncio
import os
import resource
import select
import socket
from pathlib import Path

import pytest

from localechod.echo import activated
from localechod.echo.activated import ActivatedSocket
from localechod.echo.counters import Counters
from localechod.echo.reactor import Reactor
from localechod.errors import SocketError
from localechod.localsocket.address import Address
from localechod.localsocket.adopt import wrap_activated
from tests.unit.loops import run, running_reactor

SECONDS = 10.0


def passed_in(path: Path) -> tuple[ActivatedSocket, Counters, Reactor]:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    counters, reactor = Counters(), running_reactor()
    return (
        ActivatedSocket(reactor, counters, wrap_activated(sock, Address.parse(str(path)))),
        counters,
        reactor,
    )


def test_without_a_descriptor_it_rests_and_goes_on_later(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activated, "_PAUSE", 0.01)

    async def life() -> None:
        loop = asyncio.get_running_loop()
        one, counters, reactor = passed_in(sockdir / "a")
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        client.connect(str(sockdir / "a"))
        one.turn_away()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            one.serve(select.EPOLLIN)
            assert one._sock.fileno() not in reactor  # so nothing spins
            with pytest.raises(SocketError, match=r"^dup failed: Too many open files"):
                one.bound()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await loop.sock_recv(client, 1) == b""
        assert counters.errors == {"endpoint_stopped": 1}
        client.close()
        one.close()

    run(life(), SECONDS)


def test_let_go_of_while_it_rests_it_does_not_come_back(sockdir: Path) -> None:
    async def life() -> None:
        one, _, reactor = passed_in(sockdir / "a")
        one.turn_away()
        one._reactor.unregister(one._sock.fileno())
        timer = one._pause_timer = reactor.loop.call_later(SECONDS, one._watch)
        one.close()
        assert timer.cancelled()

    run(life(), SECONDS)
    assert (sockdir / "a").is_socket()
