"""The build step compiles one module for CPython 3.11 and later, or leaves it out."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from localechod.echo import fastpath

ROOT = Path(__file__).resolve().parents[2]
BUILT = "localechod/echo/_fastpath.abi3.so"
# A file that an earlier version of this project has built, or another Python.
OLD = "localechod/echo/_fastpath.cpython-311-x86_64-linux-gnu.so"


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """packaging/compile.py, as hatchling loads it; with nothing in the environment."""
    monkeypatch.delenv("LOCALECHOD_PURE_PYTHON", raising=False)
    spec = importlib.util.spec_from_file_location("compile", ROOT / "packaging/compile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with the C files, and with a module that was built before."""
    (tmp_path / "localechod/echo").mkdir(parents=True)
    for source in ROOT.glob("localechod/echo/*.[ch]"):
        shutil.copy(source, tmp_path / "localechod/echo")
    (tmp_path / OLD).touch()
    monkeypatch.chdir(tmp_path)  # as hatchling does
    return tmp_path


def run(step: ModuleType, tree: Path) -> dict[str, Any]:
    """Run the build step in a tree; return what it tells hatchling."""
    build_data: dict[str, Any] = {"artifacts": [], "pure_python": True}
    step.Compile(str(tree), {}, None, None, str(tree), "wheel").initialize("standard", build_data)
    return build_data


def modules(tree: Path) -> list[str]:
    return [str(file.relative_to(tree)) for file in tree.rglob("*.so") if "build" not in file.parts]


def oldest_python() -> str:
    """Return the version that pyproject.toml requires, such as 3.11."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["requires-python"]).removeprefix(">=")


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_wheel_is_named_for_every_python_from_the_oldest_on(
    step: ModuleType, tree: Path
) -> None:
    build_data = run(step, tree)
    assert modules(tree) == [BUILT]
    assert build_data["artifacts"] == [BUILT]
    assert build_data["pure_python"] is False
    tag = "cp" + oldest_python().replace(".", "")
    assert re.fullmatch(rf"{tag}-abi3-linux_\w+", build_data["tag"])


def in_the_environment(monkeypatch: pytest.MonkeyPatch, _: ModuleType) -> None:
    monkeypatch.setenv("LOCALECHOD_PURE_PYTHON", "1")


def free_threaded(monkeypatch: pytest.MonkeyPatch, step: ModuleType) -> None:
    monkeypatch.setattr(step.sysconfig, "get_config_var", {"Py_GIL_DISABLED": 1}.get)


def other_implementation(monkeypatch: pytest.MonkeyPatch, step: ModuleType) -> None:
    monkeypatch.setattr(step.sys.implementation, "name", "pypy")


def no_compiler(monkeypatch: pytest.MonkeyPatch, _: ModuleType) -> None:
    monkeypatch.setenv("CC", "/nonexistent/cc")


@pytest.mark.parametrize(
    "given", [in_the_environment, free_threaded, other_implementation, no_compiler]
)
def test_without_the_compiled_part_the_wheel_is_pure_and_an_old_module_is_removed(
    step: ModuleType,
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: Callable[[pytest.MonkeyPatch, ModuleType], None],
) -> None:
    given(monkeypatch, step)
    assert run(step, tree) == {"artifacts": [], "pure_python": True}
    assert modules(tree) == []


def test_the_c_files_use_the_limited_api_of_the_oldest_python() -> None:
    header = (ROOT / "localechod/echo/_fastpath.h").read_text()
    major, minor = map(int, oldest_python().split("."))
    assert f"#define Py_LIMITED_API 0x{major:02x}{minor:02x}0000\n" in header


@pytest.mark.skipif(not fastpath.COMPILED, reason="the compiled part is not there")
def test_the_compiled_module_uses_nothing_else_of_python() -> None:
    file = importlib.import_module("localechod.echo._fastpath").__file__
    assert file is not None
    assert file.endswith("_fastpath.abi3.so")
    audit = [sys.executable, "-m", "abi3audit", "--strict"]
    done = subprocess.run(
        [*audit, "--assume-minimum-abi3", oldest_python(), file],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_format_of_arguments_has_a_length() -> None:
    """Compiled with Python 3.13, such a format raises SystemError on older ones."""
    text = "".join(file.read_text() for file in ROOT.glob("localechod/echo/*.c"))
    formats = re.findall(r'Py(?:_BuildValue|Arg_Parse\w+)\([^"]*"([^"]*)"', text)
    assert len(formats) > 5
    assert not [each for each in formats if "#" in each]
