"""The build step of the wheel, and of an editable install: compile what is in C, if possible.

Without a compiler, or Python's headers, the wheel has the same program in Python alone.
"""

import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

# -g0: no path of the machine that it was built on, so that the same source gives the same bytes.
_FLAGS = ["-O3", "-g0", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-cast-function-type"]
_FLAGS += ["-Wno-missing-field-initializers"]


class Compile(BuildHookInterface[Any]):
    """Called by hatchling; see [tool.hatch.build.targets.wheel.hooks.custom] in pyproject.toml."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Compile the inner loop beside its source; the wheel is one for this Python then."""
        root = Path(self.root)
        built = f"localechod/echo/_relay{sysconfig.get_config_var('EXT_SUFFIX')}"
        (root / built).unlink(missing_ok=True)
        source = "localechod/echo/_relay.c"
        extension = Extension(
            "localechod.echo._relay", [source], extra_compile_args=_FLAGS, optional=True
        )
        command = build_ext(Distribution({"ext_modules": [extension], "packages": []}))
        command.inplace = True
        command.build_temp = str(root / "build/compile")
        command.ensure_finalized()
        command.run()
        if (root / built).exists():
            build_data["artifacts"].append(built)
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
        else:
            sys.stderr.write("localechod: built without its compiled loop\n")
