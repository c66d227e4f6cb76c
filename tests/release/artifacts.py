"""Wheels and sdist as a release has them: those of LOCALECHOD_DIST, or built from this checkout."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.system.machine import CHECKOUT, Machine

# Where they lie in a machine.
DIST = "/root/dist"


@dataclass(frozen=True)
class Artifacts:
    """The files that pip installs from.

    Attributes:
        wheel: the compiled one, which pip prefers.
        pure: the one in Python alone.
    """

    wheel: Path
    pure: Path
    sdist: Path

    @property
    def version(self) -> str:
        """The version that their names have."""
        return self.wheel.name.split("-")[1]


def released(directory: Path) -> Artifacts:
    """Return the artifacts of the release that is being made, or build them."""
    made = os.environ.get("LOCALECHOD_DIST")
    return _found(Path(made)) if made else build(tree(directory / "tree"), directory / "dist")


def tree(directory: Path, version: str = "") -> Path:
    """Copy what git tracks of this checkout; with another version, where one is given."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CHECKOUT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, target)
    if version:
        place = directory / "localechod/__init__.py"
        old = place.read_text()
        text, times = re.subn(r'(?m)^__version__ = ".*"$', f'__version__ = "{version}"', old)
        assert times == 1, "the version stands in one place"
        place.write_text(text)
    return directory


def build(source: Path, target: Path) -> Artifacts:
    """Build them in a tree as a release does, here with the date 2023-11-14."""
    command = [str(source / "packaging/wheels.sh"), sys.prefix, str(target)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return _found(target)


def bring(debian: Machine, *files: Path) -> None:
    """Put files into the machine's DIST."""
    debian.run("mkdir", "-p", DIST)
    for file in files:
        debian.feed(file.read_bytes(), "dd", "status=none", f"of={DIST}/{file.name}")


def _found(directory: Path) -> Artifacts:
    (wheel,) = directory.glob("*-abi3-*.whl")
    (pure,) = directory.glob("*-none-any.whl")
    (sdist,) = directory.glob("*.tar.gz")
    return Artifacts(wheel, pure, sdist)
