"""The SBOM: valid, complete, and the same bytes each time."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import localechod
from tests.system.machine import CHECKOUT


@pytest.fixture
def text(tmp_path: Path) -> str:
    return written(tmp_path / "sbom.cdx.json", "1700000000")


def written(target: Path, time: str) -> str:
    command = [sys.executable, "-W", "error", str(CHECKOUT / "packaging/sbom.py"), str(target)]
    subprocess.run(command, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": time})
    return target.read_text()


def locked() -> dict[str, str]:
    """Return the versions of requirements/runtime.lock, without those for other systems."""
    lock = (CHECKOUT / "requirements/runtime.lock").read_text()
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+) \\$", lock))


def by_name(components: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {component["name"]: component for component in components}


def test_it_is_valid_by_the_schema_of_cyclonedx(text: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    broken = text.replace('"CycloneDX"', '"CycloneDY"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_it_has_this_version_and_everything_that_is_locked_by_hash_and_license(text: str) -> None:
    bom = json.loads(text)
    root = bom["metadata"]["component"]
    assert root["purl"] == f"pkg:pypi/localechod@{localechod.__version__}"
    parts = by_name(bom["components"])
    assert {name: part["version"] for name, part in parts.items()} == locked()
    lock = (CHECKOUT / "requirements/runtime.lock").read_text()
    for name, part in parts.items():
        assert part["purl"] == f"pkg:pypi/{name}@{part['version']}"
        hashes = [each["content"] for each in part["externalReferences"][0]["hashes"]]
        assert hashes, name
        assert all(f"--hash=sha256:{each}" in lock for each in hashes)
        assert part["licenses"], name
        (license_,) = part["licenses"]
        assert "UNKNOWN" not in json.dumps(license_), name


def test_every_package_is_reached_from_the_root(text: str) -> None:
    bom = json.loads(text)
    needs = {each["ref"]: each.get("dependsOn", []) for each in bom["dependencies"]}
    reached: set[str] = set()
    waiting = [bom["metadata"]["component"]["bom-ref"]]
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting += needs[one]
    assert reached == set(needs)


def test_it_has_what_the_debian_package_bundles(text: str) -> None:
    libraries = (CHECKOUT / "packaging/debian/libraries").read_text()
    bundled = set(re.findall(r"(?m)^([a-z0-9-]+) +bundled", libraries))
    assert bundled
    assert bundled < by_name(json.loads(text)["components"]).keys()


def test_the_same_source_gives_the_same_bytes(text: str, tmp_path: Path) -> None:
    assert written(tmp_path / "again.json", "1700000000") == text
    assert written(tmp_path / "later.json", "1700000001") != text
