"""The manifests: valid by the schemas of Kubernetes, restricted, and run by Podman."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.integration.harness import NEEDS_ROOT
from tests.release.oci import NAME, UID, Podman, answer
from tests.system.machine import CHECKOUT, eventually

DIRECTORY = CHECKOUT / "packaging/kubernetes"
MANIFESTS = sorted(DIRECTORY.glob("*.yaml"))
# The oldest that is tried, and the newest that the package knows.
VERSIONS = ("1.30", kubernetes_validate.latest_version())


def manifest(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DIRECTORY / f"{name}.yaml").read_text())
    return found


def pod(name: str) -> dict[str, Any]:
    """Return the specification of the pod that a manifest makes."""
    found = manifest(name)
    spec: dict[str, Any] = found["spec"]
    return spec if found["kind"] == "Pod" else spec["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_they_are_valid_and_a_misspelt_field_is_not(path: Path, version: str) -> None:
    found = yaml.safe_load(path.read_text())
    kubernetes_validate.validate(found, version, strict=True)
    wrong = {**found, "spec": {**found["spec"], "hostPid": True}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_the_peer_has_no_rights_and_only_the_directory_of_its_sockets() -> None:
    spec = pod("daemonset")
    (container,) = spec["containers"]
    everyone, own = spec["securityContext"], container["securityContext"]
    assert everyone["runAsNonRoot"] is True
    assert everyone["runAsUser"] == UID
    assert everyone["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    (first,) = spec["initContainers"]
    assert first["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}
    assert not {"hostPID", "hostNetwork", "hostIPC"} & spec.keys()
    (volume,) = spec["volumes"]
    assert volume["hostPath"]["type"] == "DirectoryOrCreate"
    assert spec["terminationGracePeriodSeconds"] > 5  # drain_timeout


def entry(container: dict[str, Any]) -> list[str]:
    """Return the options and arguments of `podman run` for a container's command."""
    program, *arguments = container["command"]
    return [f"--entrypoint={program}", "--", *arguments]


@pytest.fixture
def node(podman: Podman, sockdir: Path) -> Iterator[tuple[Podman, Path]]:
    """Podman, and a directory as kubelet makes it for DirectoryOrCreate."""
    if os.geteuid() != 0:
        pytest.skip(NEEDS_ROOT)
    directory = sockdir / "run"
    directory.mkdir(mode=0o755)
    yield podman, directory
    podman.remove()


def start(running: Podman, directory: Path) -> None:
    """Start the pod as kubelet does, one container after the other."""
    spec = pod("daemonset")
    (first,) = spec["initContainers"]
    capabilities = [f"--cap-add={name}" for name in first["securityContext"]["capabilities"]["add"]]
    done = running.run(directory, "--rm", "--user=0", *capabilities, *entry(first))
    assert done.returncode == 0, done.stderr
    done = running.run(directory, "--detach", f"--name={NAME}", f"--user={UID}:{UID}")
    assert done.returncode == 0, done.stderr


def probe(running: Podman, name: str) -> bool:
    (container,) = pod("daemonset")["containers"]
    command = container[f"{name}Probe"]["exec"]["command"]
    return running.call("exec", NAME, *command).returncode == 0


def test_the_next_pod_serves_in_the_directory_that_others_have_mounted(
    node: tuple[Podman, Path],
) -> None:
    running, directory = node
    start(running, directory)
    eventually(lambda: probe(running, "startup"), 30, "the startup probe")
    assert probe(running, "readiness")
    assert probe(running, "liveness")
    client = "localechod-test-client"
    try:
        waits = ["--", "-c", "import signal; signal.pause()"]
        mounted = ["--detach", f"--name={client}", "--user=1234", "--entrypoint=python3"]
        assert running.run(directory, *mounted, *waits).returncode == 0
        send = ("exec", client, "localechoctl", "send", "/run/localechod/stream.sock", "hello")
        assert running.call(*send).stdout == "Hi, hello\n"
        running.remove()
        assert answer(directory) == b""
        start(running, directory)
        eventually(lambda: answer(directory), 30, "the next pod")
        assert running.call(*send).stdout == "Hi, hello\n"
    finally:
        running.call("rm", "--force", "--time=0", client)


def test_explain_sees_another_pod_with_the_rights_of_its_manifest(
    node: tuple[Podman, Path], sockdir: Path
) -> None:
    running, directory = node
    start(running, directory)
    eventually(lambda: answer(directory), 30, "an answer")
    other = sockdir / "other"
    other.mkdir()
    spec = pod("explain")
    (container,) = spec["containers"]
    assert spec["hostPID"] is True
    rights = [f"--cap-add={name}" for name in container["securityContext"]["capabilities"]["add"]]
    pid = running.inspect(".State.Pid")
    explain = ["--", "explain", "/run/localechod/stream.sock", f"--pid={pid}", "--filters"]
    options = ["--rm", "--pid=host", "--user=0", *rights, "--entrypoint=localechoctl"]
    assert container["securityContext"]["seccompProfile"] == {"type": "Unconfined"}
    options.append("--security-opt=seccomp=unconfined")
    said = running.run(other, *options, *explain)
    assert "listening, by localechod" in said.stdout, said.stdout + said.stderr
    assert "verdict: connect works" in said.stdout
