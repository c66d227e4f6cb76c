"""The build step of the wheel, and of an editable install: compile the C modules, if possible.

Without a compiler or Python's headers, the wheel has the same program in pure Python. So it does
with LOCALECHOD_PURE_PYTHON in the environment, as in a release, so that it fits any machine.
"""

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

_MODULES = ("localechod/echo/_fastpath", "localechod/echo/_fastpath_datagrams")

# -g0: no path of the build machine, so that the same source gives the same bytes.
_FLAGS = ["-O3", "-g0", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-cast-function-type"]
_FLAGS += ["-Wno-missing-field-initializers", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"]


class Compile(BuildHookInterface[Any]):
    """Called by hatchling; see [tool.hatch.build.targets.wheel.hooks.custom] in pyproject.toml."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Compile the modules beside their sources; the wheel is then for this Python only."""
        root = Path(self.root)
        for name in _MODULES:
            (root / _built(name)).unlink(missing_ok=True)
        if os.environ.get("LOCALECHOD_PURE_PYTHON"):
            return
        extensions = [
            Extension(
                name.replace("/", "."), [f"{name}.c"], extra_compile_args=_FLAGS, optional=True
            )
            for name in _MODULES
        ]
        command = build_ext(Distribution({"ext_modules": extensions, "packages": []}))
        command.inplace = True
        command.build_temp = command.build_lib = str(root / "build/compile")
        command.ensure_finalized()
        command.run()
        built = [_built(name) for name in _MODULES if (root / _built(name)).exists()]
        if built:
            build_data["artifacts"] += built
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
        else:
            sys.stderr.write("localechod: built without its compiled part; it will be slower\n")


def _built(name: str) -> str:
    return f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
