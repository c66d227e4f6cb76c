"""Serving a bound socket to real users, and closing the server."""

import asyncio
import logging
import pwd
import socket
import stat
from pathlib import Path

import pytest
from grpclib.client import UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from localechod.control.access import METHOD_RIGHTS, Right
from localechod.control.connect import ConnectionLostError
from localechod.control.server import ControlServer
from localechod.control.wire import control_pb2 as pb
from localechod.errors import DaemonNotRunningError, LocalechodError
from localechod.limits import CALLS_PER_USER
from tests.integration.harness import needs_root
from tests.unit.control_fakes import (
    NOBODY,
    FakeDaemon,
    LoopFactory,
    ThreadedClient,
    ctl_as,
    listener,
    live,
    on_each_loop,
    run,
    served,
)


@pytest.fixture
def path(sockdir: Path) -> Path:
    return sockdir / "control.sock"


@on_each_loop
def test_the_socket_it_is_given_stays_as_it_was_bound(factory: LoopFactory, path: Path) -> None:
    async def main() -> None:
        server = ControlServer(FakeDaemon(), admins=(), own_uid=0)
        await server.start(sock)
        async with ThreadedClient(str(path)) as client:
            await client.status()
        await server.close(1.0)

    sock = listener(path)
    path.chmod(0o640)
    before = path.stat()
    run(factory, main)
    after = path.stat()  # the server does not remove it
    assert (after.st_ino, stat.S_IMODE(after.st_mode)) == (before.st_ino, 0o640)


@needs_root
def test_an_ordinary_user_may_read_but_not_change_and_is_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), live(path) as daemon:
        looked = ctl_as(NOBODY, path, "status")
        changed = ctl_as(NOBODY, path, "stop", "stream")
        assert daemon.supervisor.calls == []
    assert (looked.returncode, looked.stderr) == (0, "")
    assert "stream.sock" in looked.stdout
    assert (changed.returncode, changed.stdout) == (4, "")
    assert changed.stderr == (
        f"stop refused: uid {NOBODY} is not an administrator; "
        "use sudo, or add your user to [control] admins\n"
    )
    (record,) = caplog.records
    fields = record.__dict__["fields"]
    assert fields["PEER_UID"] == str(NOBODY)
    assert fields["METHOD"] == "/localechod.v1.Control/Stop"
    assert f"user {pwd.getpwuid(NOBODY).pw_name} (uid {NOBODY})" in record.message


@needs_root
@pytest.mark.parametrize(
    ("names", "groups"),
    [(["nobody"], []), (["@daemon"], [1])],
    ids=["by-name", "by-supplementary-group"],
)
def test_an_administrator_by_configuration_may_change(
    path: Path, names: list[str], groups: list[int]
) -> None:
    with live(path, admins=names) as daemon:
        done = ctl_as(NOBODY, path, "stop", "stream", groups=groups)
        assert (done.returncode, done.stdout, done.stderr) == (0, "stream: stopped\n", "")
        assert daemon.supervisor.calls == [("stop", "stream")]


@needs_root
def test_the_own_uid_may_change_with_any_configuration(path: Path) -> None:
    with live(path, own_uid=NOBODY):
        assert ctl_as(NOBODY, path, "reload").returncode == 0


@needs_root
def test_a_control_socket_without_permission_is_exit_status_4(path: Path) -> None:
    with live(path):
        path.chmod(0o600)
        done = ctl_as(NOBODY, path, "status")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith(f"connect failed: Permission denied (13): {path}; ")


@on_each_loop
def test_every_method_that_is_served_is_in_the_access_table(
    factory: LoopFactory, path: Path
) -> None:
    async def main() -> None:
        async with served(path, FakeDaemon()) as server:
            assert set(server._server._mapping) == set(METHOD_RIGHTS)

    run(factory, main)


@on_each_loop
def test_a_served_method_that_the_table_forgot_is_refused(
    factory: LoopFactory, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = {k: v for k, v in METHOD_RIGHTS.items() if not k.endswith("/Status")}
    monkeypatch.setattr("localechod.control.access.METHOD_RIGHTS", forgotten)

    async def main() -> None:
        async with served(path, FakeDaemon()), ThreadedClient(str(path)) as client:
            with pytest.raises(LocalechodError, match="there is no such method"):
                await client.status()

    run(factory, main)


@on_each_loop
@pytest.mark.parametrize("known", [False, True])
def test_a_method_that_is_not_served_is_unimplemented(
    factory: LoopFactory, path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    if known:
        rights = dict(METHOD_RIGHTS) | {"/localechod.v1.Control/X": Right.LOOK}
        monkeypatch.setattr("localechod.control.access.METHOD_RIGHTS", rights)

    async def main() -> None:
        async with served(path, FakeDaemon()), ThreadedClient(str(path)) as client:
            destroy = UnaryUnaryMethod(
                client._channel, "/localechod.v1.Control/X", pb.ReloadRequest, pb.ReloadReply
            )
            with pytest.raises(GRPCError) as caught:
                await destroy(pb.ReloadRequest())
            assert caught.value.status is Status.UNIMPLEMENTED

    run(factory, main)


@on_each_loop
def test_a_user_cannot_have_more_calls_than_the_limit(factory: LoopFactory, path: Path) -> None:
    async def main() -> None:
        async with served(path, FakeDaemon()) as server, ThreadedClient(str(path)) as client:
            streams = [client.events(recent=0) for _ in range(CALLS_PER_USER)]
            for stream in streams:
                await stream.__aenter__()
            with pytest.raises(LocalechodError, match="has 64 calls under way already"):
                await client.status()
            (call, *_) = server._interceptor.calls
            for stream in streams:
                await stream.__aexit__(None, None, None)
            await asyncio.wait(server._interceptor.calls or [call])
            assert (await client.status()).endpoints, "another call is accepted"

    run(factory, main)


@on_each_loop
def test_a_running_call_finishes_and_a_new_one_is_refused(factory: LoopFactory, path: Path) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        daemon.may_reload.clear()
        async with ThreadedClient(str(path)) as client:
            async with served(path, daemon) as server:
                await client.status()
                asking = asyncio.ensure_future(client.reload())
                await daemon.reload_began.wait()
                closing = asyncio.ensure_future(server.close(10.0))
                await asyncio.sleep(0)  # lets it begin
                with pytest.raises(ConnectionLostError, match="localechod is shutting down"):
                    await client.status()
                daemon.may_reload.set()
                assert list((await asking).added) == ["new"]
                await closing
            with pytest.raises(DaemonNotRunningError):
                await client.status()

    run(factory, main)


@on_each_loop
def test_a_call_that_does_not_end_is_cut_off_when_the_grace_is_over(
    factory: LoopFactory, path: Path
) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        daemon.may_reload.clear()
        async with served(path, daemon) as server, ThreadedClient(str(path)) as client:
            asking = asyncio.ensure_future(client.reload())
            await daemon.reload_began.wait()
            await server.close(0.05)
            with pytest.raises(ConnectionLostError, match="closed before the reply"):
                await asking
            daemon.may_reload.set()

    run(factory, main)


@on_each_loop
def test_a_client_that_does_not_read_cannot_hold_up_the_end(
    factory: LoopFactory, path: Path
) -> None:
    async def main() -> None:
        daemon = FakeDaemon()
        async with served(path, daemon) as server:
            with socket.socket(socket.AF_UNIX) as silent:
                silent.connect(str(path))
                async with ThreadedClient(str(path)) as client:
                    await client.status()  # connections are accepted in order
                transport = next(iter(server._interceptor.connections))
                transport.write(b"x" * 10_000_000)
                await server.close(0.05)
                assert not server._interceptor.connections

    run(factory, main)
