"""grpc.health.v1, answered from the state of the endpoints.

grpclib's own Health keeps a fixed list of checks and polls them. Endpoints are added and removed by
a reload, and every change of their state is an event already.
"""

# ruff: noqa: N802 - methods of a service bear the names they have on the wire

from collections.abc import Callable, Mapping

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.health.v1.health_grpc import HealthBase
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpclib.server import Stream

from localechod.control.event_history import EventHistory
from localechod.echo.lifecycle import State

Answer = Stream[HealthCheckRequest, HealthCheckResponse]
Serving = HealthCheckResponse.ServingStatus

CONTROL = "localechod.v1.Control"


class EndpointHealth(HealthBase):
    """Health of the service (""), of each endpoint by name, and of the control plane.

    The service as a whole serves while any endpoint listens.

    Args:
        states: returns the state of each endpoint by name.
        history: the events of their changes.
    """

    def __init__(self, states: Callable[[], Mapping[str, str]], history: EventHistory) -> None:
        self._states = states
        self._history = history

    async def Check(self, stream: Answer) -> None:
        """Answer once.

        Raises:
            GRPCError: NOT_FOUND, the name is not configured.
        """
        service = await _service(stream)
        status = self._status(service)
        if status == Serving.SERVICE_UNKNOWN:
            raise GRPCError(Status.NOT_FOUND, "there is no endpoint of that name")
        await stream.send_message(HealthCheckResponse(status=status))

    async def Watch(self, stream: Answer) -> None:
        """Answer now and at each change, until the caller or the daemon ends."""
        service = await _service(stream)
        _, subscription = self._history.watch(0)
        try:
            sent = self._status(service)
            await stream.send_message(HealthCheckResponse(status=sent))
            async for _ in subscription:
                status = self._status(service)
                if status != sent:
                    sent = status
                    await stream.send_message(HealthCheckResponse(status=status))
        finally:
            subscription.close()

    def _status(self, service: str) -> "Serving.ValueType":
        states = self._states()
        if service == CONTROL:
            return Serving.SERVING
        if service and service not in states:
            return Serving.SERVICE_UNKNOWN
        asked = [states[service]] if service else list(states.values())
        return Serving.SERVING if any(State(s).serves for s in asked) else Serving.NOT_SERVING


async def _service(stream: Answer) -> str:
    request = await stream.recv_message()
    if request is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "the call came without a request")
    return request.service
