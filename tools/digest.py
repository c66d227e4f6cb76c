#!/usr/bin/env python3
"""Hash what ./dev makes files from, so that it can tell which of them are stale.

    tools/digest.py inputs       what requirements/*.lock are resolved from
    tools/digest.py environment  what .venv is made from

Runs before anything is installed: it needs the standard library only.
"""

import hashlib
import json
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def digest(of: str) -> str:
    """Return the hash of "inputs" or "environment", in hexadecimal."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = settings["project"]
    parts = [project["requires-python"], project["dependencies"], project["optional-dependencies"]]
    files = [ROOT / "requirements/build.in"]
    if of == "environment":
        # An environment knows its own path and its Python; the project is in it by its metadata.
        parts += [project, settings["build-system"], settings["tool"]["hatch"]]
        parts += [str(ROOT), sys.version]
        files += sorted(ROOT.glob("requirements/*.lock"))
        files += [ROOT / "packaging/compile.py", *sorted(ROOT.glob("localechod/echo/*.[ch]"))]
    collected = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for file in files:
        collected.update(file.read_bytes())
    return collected.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(digest(sys.argv[1]) + "\n")
