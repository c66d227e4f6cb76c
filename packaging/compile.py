"""The build step of the wheel, and of an editable install: compile what is in C, if possible.

Without a compiler, or Python's headers, the wheel has the same program in Python alone; and with
LOCALECHOD_PURE_PYTHON in the environment, as a release has it, so that it fits any machine.
"""

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

_MODULE = "localechod/echo/_fastpath"
_PARTS = ("", "_accept", "_answer", "_datagrams", "_flow", "_poller", "_table", "_turn")
_SOURCES = [f"{_MODULE}{part}.c" for part in _PARTS]

# -g0: no path of the machine that it was built on, so that the same source gives the same bytes.
_FLAGS = ["-O3", "-g0", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-cast-function-type"]
_FLAGS += ["-Wno-missing-field-initializers", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"]
_FLAGS += [
    "-fvisibility=hidden"
]  # the parts share names such as `add`, and nobody else may see them


class Compile(BuildHookInterface[Any]):
    """Called by hatchling; see [tool.hatch.build.targets.wheel.hooks.custom] in pyproject.toml."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Compile the modules beside their sources; the wheel is one for this Python then."""
        root = Path(self.root)
        (root / _built()).unlink(missing_ok=True)
        if os.environ.get("LOCALECHOD_PURE_PYTHON"):
            return
        extension = Extension(
            _MODULE.replace("/", "."), _SOURCES, extra_compile_args=_FLAGS, optional=True
        )
        command = build_ext(Distribution({"ext_modules": [extension], "packages": []}))
        command.inplace = True
        command.build_temp = command.build_lib = str(root / "build/compile")
        command.ensure_finalized()
        command.run()
        if (root / _built()).exists():
            build_data["artifacts"].append(_built())
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
        else:
            sys.stderr.write("localechod: built without its compiled part; it will be slower\n")


def _built() -> str:
    return f"{_MODULE}{sysconfig.get_config_var('EXT_SUFFIX')}"
