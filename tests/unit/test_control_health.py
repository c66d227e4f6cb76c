"""Health of the service and of each endpoint by name: the current one, and its changes."""

import asyncio
from pathlib import Path

import pytest
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.health.v1.health_grpc import HealthStub
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from tests.unit.control_fakes import FakeDaemon, LoopFactory, endpoint, on_each_loop, run, served

UP = HealthCheckResponse.SERVING
DOWN = HealthCheckResponse.NOT_SERVING
UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN

pytestmark = on_each_loop


def test_check_answers_for_service_endpoint_and_control_plane(
    factory: LoopFactory, sockdir: Path
) -> None:
    path = sockdir / "control.sock"

    async def main() -> None:
        daemon = FakeDaemon()
        async with served(path, daemon), Channel(path=str(path)) as channel:
            stub = HealthStub(channel)

            async def status(service: str) -> int:
                return (await stub.Check(HealthCheckRequest(service=service))).status

            assert [await status(s) for s in ("", "stream", "datagram")] == [UP, UP, UP]
            daemon.supervisor.become("stream", "failed")
            daemon.supervisor.become("datagram", "degraded")
            assert [await status(s) for s in ("", "stream", "datagram")] == [UP, DOWN, UP]
            daemon.supervisor.become("datagram", "stopped")
            assert [await status(s) for s in ("", "stream", "datagram")] == [DOWN, DOWN, DOWN]
            assert await status("localechod.v1.Control") == UP
            with pytest.raises(GRPCError) as caught:
                await status("x")
            assert caught.value.status is Status.NOT_FOUND

    run(factory, main)


def test_watch_sends_each_change_once_and_ends_with_the_daemon(
    factory: LoopFactory, sockdir: Path
) -> None:
    path = sockdir / "control.sock"

    async def main() -> None:
        daemon = FakeDaemon()
        supervisor = daemon.supervisor
        async with Channel(path=str(path)) as channel, served(path, daemon) as server:
            async with HealthStub(channel).Watch.open() as stream:
                await stream.send_message(HealthCheckRequest(service="new"), end=True)

                async def sent() -> int | None:
                    message = await stream.recv_message()
                    return message and message.status

                assert await sent() == UNKNOWN
                supervisor.become("stream", "failed")  # another's change is no change
                supervisor.rows["new"] = endpoint("new")
                supervisor.become("new", "listening")
                assert await sent() == UP
                supervisor.become("new", "failed")
                assert await sent() == DOWN
                closing = asyncio.ensure_future(server.close(5.0))
                assert await sent() is None
            await closing

    run(factory, main)
