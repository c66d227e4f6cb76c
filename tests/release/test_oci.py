"""The OCI image: what is in it, the same bytes each time, and how Podman runs it."""

import hashlib
import json
import os
import signal
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.release.oci import NAME, UID, Podman, answer, build, own_directory
from tests.system.machine import eventually

# Prints each directory that a file can be made in; those in /dev are the container's own memory.
WRITES = """
import os
for top, directories, _ in os.walk("/"):
    if top == "/":
        directories[:] = set(directories) - {"dev", "proc", "sys"}
    try:
        os.open(f"{top}/x", os.O_CREAT)
    except OSError:
        continue
    os.unlink(f"{top}/x")
    print(top)
"""


def blob(image: Path, digest: str) -> bytes:
    with tarfile.open(image) as archive:
        file = archive.extractfile(f"blobs/{digest.replace(':', '/')}")
        assert file is not None
        return file.read()


@dataclass
class Parts:
    """What the archive's index leads to, each part proven by its digest and size."""

    config: dict[str, Any]
    layer: bytes


@pytest.fixture(scope="module")
def parts(image: Path) -> Parts:
    def follow(descriptor: dict[str, Any]) -> bytes:
        found = blob(image, descriptor["digest"])
        assert len(found) == descriptor["size"]
        assert f"sha256:{hashlib.sha256(found).hexdigest()}" == descriptor["digest"]
        return found

    with tarfile.open(image) as archive:
        index = archive.extractfile("index.json")
        assert index is not None
        (first,) = json.load(index)["manifests"]
    manifest = json.loads(follow(first))
    (layer,) = manifest["layers"]
    return Parts(json.loads(follow(manifest["config"])), follow(layer))


@pytest.fixture(scope="module")
def files(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tarfile.TarInfo]:
    target = tmp_path_factory.mktemp("layer") / "layer.tar.gz"
    target.write_bytes(parts.layer)
    with tarfile.open(target) as archive:
        return {member.name.removeprefix("./"): member for member in archive}


def test_every_build_has_the_same_bytes(package: Path, image: Path, tmp_path: Path) -> None:
    assert build(package, tmp_path / "again.tar").read_bytes() == image.read_bytes()


def test_it_runs_the_daemon_in_the_foreground_without_root(parts: Parts) -> None:
    settings = parts.config["config"]
    assert settings["User"] == f"{UID}:{UID}"
    assert settings["Entrypoint"][0] == "localechod"
    assert "--detach" not in settings["Entrypoint"]
    assert settings["StopSignal"] == "SIGTERM"
    assert settings["Healthcheck"]["Test"][:3] == ["CMD", "localechoctl", "wait"]


def test_it_is_small_and_has_nothing_but_the_program_python_and_licenses(
    parts: Parts, files: dict[str, tarfile.TarInfo]
) -> None:
    assert len(parts.layer) < 40e6
    programs = {name for name in files if name.startswith(("usr/bin/", "usr/sbin/"))}
    assert {"usr/bin/localechod", "usr/bin/localechoctl", "usr/bin/python3"} <= programs
    assert all("localecho" in name or "python3" in name for name in programs), programs
    # Nothing of the machine that made it, and no file with more rights than its caller.
    assert {name for name in files if name.startswith("etc/")} == {
        *("etc/group", "etc/os-release", "etc/passwd"),
        *("etc/localechod", "etc/localechod/localechod.toml"),
    }
    assert not [name for name, file in files.items() if file.mode & 0o6000]
    assert {file.uid for name, file in files.items() if name != "run/localechod"} == {0}
    assert files["run/localechod"].uid == UID
    for package in ("localechod", "libc6", "python3-h2"):
        assert f"var/lib/dpkg/status.d/{package}" in files
        assert f"usr/share/doc/{package}/copyright" in files


@pytest.fixture
def directory(sockdir: Path) -> Path:
    """Where the container's sockets are, on this side."""
    directory = sockdir / "run"
    directory.mkdir()
    return directory


@pytest.fixture
def container(podman: Podman, directory: Path) -> Iterator[Podman]:
    """The image at work."""
    ids = own_directory(directory)
    started = podman.run(directory, "--detach", f"--name={NAME}", *ids)
    assert started.returncode == 0, started.stderr
    eventually(lambda: answer(directory), 30, "an answer from the container")
    yield podman
    podman.remove()


def test_a_client_on_this_side_is_answered_and_the_healthcheck_is_content(
    container: Podman, directory: Path
) -> None:
    assert answer(directory) == b"Hi, hello\n"
    assert container.call("healthcheck", "run", NAME).returncode == 0
    assert container.inspect(".State.Health.Status") == "healthy"
    assert (
        f"{UID}\n"
        == container.call(*("exec", NAME, "python3", "-c"), "import os; print(os.getuid())").stdout
    )


def test_it_can_write_to_the_directory_of_its_sockets_alone(
    container: Podman, directory: Path
) -> None:
    written = container.call("exec", NAME, "python3", "-c", WRITES).stdout.split()
    assert written == ["/run/localechod"]


def test_sigterm_ends_it_with_0_and_its_sockets(container: Podman, directory: Path) -> None:
    stopped = container.call("stop", "--time=10", NAME)
    assert stopped.returncode == 0, stopped.stderr
    assert container.inspect(".State.ExitCode") == "0"
    assert not list(directory.glob("*.sock"))


def test_after_a_kill_the_next_one_replaces_what_was_left(
    container: Podman, directory: Path
) -> None:
    os.kill(int(container.inspect(".State.Pid")), signal.SIGKILL)
    eventually(lambda: container.inspect(".State.Running") == "false", 30, "its end")
    assert list(directory.glob("*.sock"))
    assert answer(directory) == b""
    assert container.call("start", NAME).returncode == 0
    assert eventually(lambda: answer(directory), 30, "an answer") == b"Hi, hello\n"
