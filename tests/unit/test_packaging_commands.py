"""The commands of the Debian package call what pip's do."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_debian_packages_commands_are_those_of_the_project() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    commands = {file.name: file.read_text() for file in (ROOT / "packaging/debian/bin").iterdir()}
    assert commands.keys() == scripts.keys()
    for name, entry in scripts.items():
        module, _, function = entry.partition(":")
        assert f"\nfrom {module} import {function}\n" in commands[name]
        assert f"\nsys.exit({function}())\n" in commands[name]
