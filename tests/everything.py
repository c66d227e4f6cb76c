"""For processes that become another user: import everything while they may still read it.

The checkout, or the Python in it, may lie in a directory that others cannot enter, like /root.
"""

import importlib
import pkgutil

import typer

import localechod


def import_everything() -> None:
    """Import every module of this project, and of typer, which loads its own as they are needed."""
    for package in (localechod, typer):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(("__main__", "_winconsole")):
                importlib.import_module(module.name)
