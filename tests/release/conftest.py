"""The tests in this directory fetch, build and boot: what takes minutes here does not hang."""

import faulthandler
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.release.oci import Podman, build, loaded
from tests.system.machine import CHECKOUT


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Call off pyproject.toml's end after two minutes: commands have a deadline each."""
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def package() -> Path:
    """The Debian package of the release that is being made, or of this checkout."""
    for tool in ("mmdebstrap", "dpkg-deb"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here")
    if made := os.environ.get("LOCALECHOD_DIST"):
        (package,) = Path(made).glob("localechod_*.deb")
        return package
    done = subprocess.run([CHECKOUT / "dev", "deb"], check=True, capture_output=True, text=True)
    return CHECKOUT / done.stdout.strip()


@pytest.fixture(scope="session")
def image(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(package, tmp_path_factory.mktemp("oci") / "image.tar")


@pytest.fixture(scope="session")
def podman(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman with the image loaded."""
    with loaded(image, tmp_path_factory.mktemp("empty")) as podman:
        yield podman
