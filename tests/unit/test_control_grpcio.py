"""The official gRPC client, in a process of its own as it starts threads, drives the daemon."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.control_fakes import Live, live

pytest.importorskip("grpc_reflection", reason="grpcio-reflection (extra: dev) is the other client")

# Everything it knows of our messages it learns by reflection.
CLIENT = """
import json, sys
import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase)

def code(call):
    try:
        call()
    except grpc.RpcError as error:
        return [error.code().name, error.details(), dict(error.trailing_metadata())]

with grpc.insecure_channel("unix:" + sys.argv[1]) as channel:
    reflection = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(reflection)
    service = pool.FindServiceByName("localechod.v1.Control")
    def method(name):
        found = service.methods_by_name[name]
        request, reply = GetMessageClass(found.input_type), GetMessageClass(found.output_type)
        call = channel.unary_unary(f"/{service.full_name}/{name}",
            request_serializer=request.SerializeToString, response_deserializer=reply.FromString)
        return lambda **fields: call(request(**fields), timeout=10)
    status = method("Status")()
    health = health_pb2_grpc.HealthStub(channel)
    unknown = channel.unary_unary("/localechod.v1.Control/Destroy")
    check = health.Check(health_pb2.HealthCheckRequest(service="stream"), timeout=10)
    print(json.dumps({
        "services": sorted(reflection.get_services()),
        "methods": [method.name for method in service.methods],
        "version": status.daemon.version,
        "endpoints": [row.name for row in status.endpoints],
        "health": check.status,
        "no endpoint": code(lambda: method("Start")(name="x")),
        "no service": code(lambda: health.Check(health_pb2.HealthCheckRequest(service="x"))),
        "no method": code(lambda: unknown(b"", timeout=10)),
        "stopped": method("Stop")(name="stream").endpoint.state,
    }, default=lambda value: value.decode()))
"""


def drive(daemon: Live) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(daemon.path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_the_official_client_finds_its_way_by_reflection_alone(sockdir: Path) -> None:
    with live(sockdir / "control.sock") as daemon:
        found = drive(daemon)
        assert daemon.supervisor.rows["stream"].state == "stopped"
    assert found["services"] == [
        "grpc.health.v1.Health",
        "localechod.v1.Control",
    ]
    assert found["methods"] == [
        *("Status", "Start", "Stop", "Restart", "Reload", "Peers", "Events", "Config")
    ]
    assert found["version"] == "0.1.0"
    assert found["endpoints"] == ["stream", "datagram"]
    assert found["health"] == 1
    assert found["stopped"] == "stopped"
    assert found["no endpoint"] == [
        "NOT_FOUND",
        'there is no endpoint "x"; there are: stream',
        {
            "localechod-text-bin": 'there is no endpoint "x"',
            "localechod-hint-bin": "there are: stream",
            "localechod-exit-status": "2",
        },
    ]
    assert found["no service"] == ["NOT_FOUND", "there is no endpoint of that name", {}]
    assert found["no method"] == ["UNIMPLEMENTED", "there is no such method", {}]
