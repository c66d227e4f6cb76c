"""The build step of the wheel, and of an editable install: compile what is in C, if possible.

The C files use only Python's limited API, so that one compiled wheel serves CPython 3.11 and later
(https://docs.python.org/3/c-api/stable.html). The wheel has the same program in Python alone if

- there is no compiler, or Python's headers are missing;
- this Python has no limited API: it is free-threaded, or not CPython;
- LOCALECHOD_PURE_PYTHON is in the environment.
"""

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

_MODULE = "localechod/echo/_fastpath"
_PARTS = ["accept", "answer", "datagrams", "flow", "poller", "proof"]
_PARTS += ["senders", "shares", "table", "totals", "turn"]
_SOURCES = [f"{_MODULE}.c", *(f"{_MODULE}_{part}.c" for part in _PARTS)]
_BUILT = f"{_MODULE}.abi3.so"

# The oldest Python that it runs on: that of Py_LIMITED_API in _fastpath.h.
_PYTHON = "cp311"

# -g0: no path of the machine that it was built on, so that the same source gives the same bytes.
_FLAGS = ["-O3", "-g0", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-cast-function-type"]
_FLAGS += ["-Wno-missing-field-initializers", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"]
_FLAGS += ["-fvisibility=hidden"]  # the sources share names such as `add`; no other library may


class Compile(BuildHookInterface[Any]):
    """Called by hatchling; see [tool.hatch.build.targets.wheel.hooks.custom] in pyproject.toml."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Compile the modules beside their sources, and name the wheel after what it has."""
        root = Path(self.root)
        for old in root.glob(f"{_MODULE}*.so"):
            old.unlink()
        if os.environ.get("LOCALECHOD_PURE_PYTHON"):
            return
        if _has_limited_api():
            _compile(root)
        if (root / _BUILT).exists():
            build_data["artifacts"].append(_BUILT)
            build_data["pure_python"] = False
            # Which manylinux it is, auditwheel finds out (wheels.sh).
            platform = next(name for name in platform_tags() if name.startswith("linux_"))
            build_data["tag"] = f"{_PYTHON}-abi3-{platform}"
        else:
            sys.stderr.write("localechod: built without its compiled part; it will be slower\n")


def _has_limited_api() -> bool:
    free_threaded = sysconfig.get_config_var("Py_GIL_DISABLED")
    return sys.implementation.name == "cpython" and not free_threaded


def _compile(root: Path) -> None:
    extension = Extension(
        _MODULE.replace("/", "."),
        _SOURCES,
        extra_compile_args=_FLAGS,
        optional=True,
        py_limited_api=True,
    )
    command = build_ext(Distribution({"ext_modules": [extension], "packages": []}))
    command.inplace = True
    command.build_temp = command.build_lib = str(root / "build/compile")
    command.ensure_finalized()
    command.run()
    # Some versions of setuptools add the platform to the name, where older Pythons do not look.
    for built in root.glob(f"{_MODULE}*.so"):
        built.rename(root / _BUILT)
