"""What is in the wheels and the sdist, and that every build has the same bytes."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import localechod
from localechod.ctl.hostmap import page
from tests.release.artifacts import Artifacts, build, released, tree
from tests.system.machine import CHECKOUT

PURE_PYTHON = "LOCALECHOD_PURE_PYTHON"

# Of a checkout alone: what a server or git calls here.
NOT_IN_THE_SDIST = {".ci/run", ".pre-commit-config.yaml"}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return released(tmp_path_factory.mktemp("artifacts"))


def tracked() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CHECKOUT, check=True, capture_output=True
    )
    return set(filter(None, os.fsdecode(listed.stdout).split("\0")))


def unpacked(sdist: Path, target: Path) -> Path:
    target.mkdir()
    # tarfile of Debian 12 has no filter yet, and warns of that in newer ones.
    subprocess.run(["tar", "--extract", "--file", sdist, "--directory", target], check=True)
    (source,) = target.iterdir()
    return source


def test_the_sdist_has_what_is_needed_to_build_test_and_package_and_nothing_else(
    artifacts: Artifacts,
) -> None:
    with tarfile.open(artifacts.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == (tracked() - NOT_IN_THE_SDIST) | {"PKG-INFO"}


COMPLETIONS = (
    "bash-completion/completions/localechoctl",
    "zsh/site-functions/_localechoctl",
    "fish/vendor_completions.d/localechoctl.fish",
)


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_the_wheels_have_the_package_its_manual_pages_completions_and_nothing_else(
    artifacts: Artifacts,
) -> None:
    names = contents(artifacts.pure)
    packaged = {name for name in tracked() if name.startswith("localechod/")}
    rest = names - packaged
    assert packaged < names
    assert {name for name in rest if ".dist-info/" not in name} == {
        "localechod/default.toml",
        *(
            f"localechod-{artifacts.version}.data/data/share/man/man{page[-1]}/{page}"
            for page in ("localechoctl.1", "localechod.8", "localechod.toml.5")
        ),
        *(f"localechod-{artifacts.version}.data/data/share/{path}" for path in COMPLETIONS),
    }
    assert "localechod/py.typed" in names
    assert contents(artifacts.wheel) == names | {"localechod/echo/_fastpath.abi3.so"}


PAGE = "localechod/ctl/hostmap"
PAGE_FILES = ("page.html", "page.css", page.LIBRARY, *(f"scripts/{name}" for name in page.SCRIPTS))


def test_wheels_and_sdist_have_the_page_of_the_map_and_its_library_with_the_licence(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    trees = [unpacked(artifacts.sdist, tmp_path / "sdist")]
    for number, wheel in enumerate((artifacts.wheel, artifacts.pure)):
        trees.append(tmp_path / f"wheel{number}")
        shutil.unpack_archive(wheel, trees[-1], "zip")
    for each in trees:
        assert [name for name in PAGE_FILES if not (each / PAGE / name).is_file()] == []
        library = (each / PAGE / page.LIBRARY).read_bytes()
        assert hashlib.sha256(library).hexdigest() == page.LIBRARY_SHA256
        # The MIT licence has to be in all copies; it is at the file's beginning.
        assert b"Permission is hereby granted" in library[:2000]


def test_the_compiled_wheel_is_for_any_linux_with_glibc_and_the_other_for_everything(
    artifacts: Artifacts,
) -> None:
    for wheel, expected in (
        (artifacts.wheel, r"cp311-abi3-manylinux\w+"),
        (artifacts.pure, "py3-none-any"),
    ):
        with zipfile.ZipFile(wheel) as archive:
            inside = archive.read(f"localechod-{artifacts.version}.dist-info/WHEEL").decode()
        tags = re.findall(r"(?m)^Tag: (.+)$", inside)
        assert tags
        assert all(re.fullmatch(expected, tag) for tag in tags), tags


@pytest.mark.parametrize(("kind", "compiled"), [("wheel", True), ("pure", False)])
def test_an_installed_wheel_uses_the_compiled_part_that_it_has(
    artifacts: Artifacts, tmp_path: Path, kind: str, *, compiled: bool
) -> None:
    pip = [sys.executable, "-m", "pip", "-q", "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", tmp_path, getattr(artifacts, kind)], check=True)
    code = "from localechod.echo import fastpath; print(fastpath.__file__, fastpath.COMPILED)"
    clean = {name: value for name, value in os.environ.items() if name != PURE_PYTHON}
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=clean | {"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed == f"{tmp_path}/localechod/echo/fastpath.py {compiled}\n"


def test_the_metadata_has_the_one_version_and_is_complete(artifacts: Artifacts) -> None:
    with zipfile.ZipFile(artifacts.wheel) as archive:
        inside = f"localechod-{artifacts.version}.dist-info"
        metadata = message_from_bytes(archive.read(f"{inside}/METADATA"))
        assert f"{inside}/licenses/LICENSE" in archive.namelist()
    assert metadata["Version"] == artifacts.version == localechod.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Author"] in (CHECKOUT / "LICENSE").read_text()
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert metadata.get_payload(decode=True) == (CHECKOUT / "README.md").read_bytes()


def test_every_build_has_the_same_bytes_also_one_from_the_sdist(tmp_path: Path) -> None:
    first = build(tree(tmp_path / "here"), tmp_path / "first")
    os.utime(tmp_path / "here/README.md", (0, 0))
    second = build(tmp_path / "here", tmp_path / "second")
    third = build(unpacked(first.sdist, tmp_path / "unpacked"), tmp_path / "third")
    assert second.sdist.read_bytes() == first.sdist.read_bytes()
    for other in (second, third):
        assert other.wheel.read_bytes() == first.wheel.read_bytes()
        assert other.pure.read_bytes() == first.pure.read_bytes()


def test_what_is_in_the_sdist_can_test_itself(artifacts: Artifacts, tmp_path: Path) -> None:
    source = unpacked(artifacts.sdist, tmp_path / "unpacked")
    files = [
        "tests/unit/test_framing.py",
        "tests/unit/test_imports.py",
        "tests/unit/test_manuals.py",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
