"""An endpoint whose socket is bound and cannot be served is failed, and leaves nothing."""

import asyncio
import errno
import os
import socket
from pathlib import Path

import pytest

from localechod.echo.fastpath import Handler
from localechod.echo.reactor import Reactor
from localechod.echo.supervisor import Supervisor
from localechod.errors import SocketError
from tests.unit.restart_fakes import Kept, live


@pytest.mark.parametrize("kind", ["stream", "datagram", "seqpacket"])
def test_without_a_place_in_the_epoll_it_is_failed_and_can_be_started_later(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def full(_reactor: Reactor, _fd: int, _events: int, _handler: Handler) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def act(supervisor: Supervisor) -> None:
        supervisor.stop("a")
        with monkeypatch.context() as patched:
            patched.setattr(Reactor, "register", full)
            with pytest.raises(
                SocketError, match="epoll_ctl failed: No space left on device"
            ) as refused:
                supervisor.start("a")
            assert refused.value.errno == errno.ENOSPC
        (status,) = supervisor.status(["a"])
        assert status.state == "failed"
        assert not (sockdir / "a.sock").exists()
        supervisor.start("a")
        (status,) = supervisor.status(["a"])
        assert status.state == "listening"
        supervisor.stop("a")

    store = Kept()
    live(store, sockdir, f'[endpoints.a]\ntype = "{kind}"\n', act)
    store.close()


@pytest.mark.parametrize("kind", ["stream", "seqpacket"])
def test_a_client_that_left_while_it_waited_does_not_stop_a_new_socket_from_being_served(
    sockdir: Path, kind: str
) -> None:
    type_ = socket.SOCK_STREAM if kind == "stream" else socket.SOCK_SEQPACKET

    async def act(supervisor: Supervisor) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, type_) as left:
            left.connect(str(sockdir / "a.sock"))
        (sockdir / "a.sock").unlink()
        supervisor._endpoints["a"].rebind()
        with socket.socket(socket.AF_UNIX, type_) as client:
            client.setblocking(False)
            await loop.sock_connect(client, str(sockdir / "a.sock"))
            await loop.sock_sendall(client, b"x\n")
            assert await asyncio.wait_for(loop.sock_recv(client, 9), 10) == b"Hi, x\n"
        supervisor.stop("a")

    store = Kept()
    live(store, sockdir, f'[endpoints.a]\ntype = "{kind}"\n', act)
    store.close()
