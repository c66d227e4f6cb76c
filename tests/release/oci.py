"""The OCI image, and a container of it that Podman runs."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.machine import CHECKOUT

UID = 65532  # the image's
NAME = "localechod-test"
# Podman's own limits may be higher than this process may set.
_LIMITS = ["--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"]
_CLOSED = ["--network=none", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all"]
_CLOSED += ["--security-opt=no-new-privileges", "--health-interval=disable"]


def build(package: Path, target: Path) -> Path:
    command = [CHECKOUT / "packaging/oci/build.sh", package, target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@dataclass
class Podman:
    """Podman with the first runtime that runs a container here, and the image in its store."""

    command: list[str]
    tag: str

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, check=False, timeout=60
        )

    def run(self, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a container as the image says, closed, with the directory for its sockets.

        Args:
            directory: on this side.
            options: of `podman run`; after "--", the container's own arguments.
        """
        before = options[: options.index("--")] if "--" in options else options
        after = options[len(before) + 1 :]
        volume = f"--volume={directory}:/run/localechod"
        return self.call("run", *_LIMITS, *_CLOSED, volume, *before, self.tag, *after)

    def inspect(self, field: str, name: str = NAME) -> str:
        return self.call("inspect", "--format", f"{{{{{field}}}}}", name).stdout.strip()

    def remove(self) -> None:
        self.call("rm", "--force", NAME)


@contextmanager
def loaded(image: Path, directory: Path) -> Iterator[Podman]:
    """Load the image; skip the test where no runtime runs it with an empty directory."""
    if shutil.which("podman") is None:
        pytest.skip("no podman here")
    refused = "neither crun nor runc"
    for runtime in filter(shutil.which, ("crun", "runc")):
        command = ["podman", "--runtime", runtime]
        pull = [*command, "pull", "-q", f"docker-archive:{image}"]
        pulled = subprocess.run(pull, capture_output=True, text=True, check=True)
        found = Podman(command, pulled.stdout.strip())
        tried = found.run(directory, "--rm", "--entrypoint=python3", "--", "-c", "pass")
        if tried.returncode == 0:
            break
        refused = tried.stderr.strip().splitlines()[-1]
    else:
        pytest.skip(f"podman runs no container here: {refused}")
    try:
        yield found
    finally:
        found.remove()
        found.call("rmi", "--force", found.tag)


def own_directory(directory: Path) -> list[str]:
    """Give the directory to the image's user; return the options of `podman run` for that."""
    if os.geteuid() == 0:
        os.chown(directory, UID, UID)
        return []
    return [f"--userns=keep-id:uid={UID},gid={UID}"]


def answer(directory: Path) -> bytes:
    """Return the reply of the endpoint "stream" to a client on this side, b"" without one."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(f"{directory}/stream.sock")
        except OSError:
            return b""
        client.sendall(b"hello\n")
        return client.recv(100)
