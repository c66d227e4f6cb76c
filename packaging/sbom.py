#!/usr/bin/env python3
"""Write the SBOM of a release: what the daemon and localechoctl run on, as CycloneDX JSON.

    sbom.py TARGET     in the environment of requirements/dev.lock

Versions and hashes are those of requirements/runtime.lock, which the Debian package bundles or
takes from Debian; licenses and dependencies those of the installed packages' metadata. The same
source gives the same bytes: its time is SOURCE_DATE_EPOCH. (cyclonedx-py knows hashes or licenses,
not both, and no version that is read from a module.)
"""

import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageMetadata, metadata
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
NAME = "localechod"


def locked() -> Iterator[tuple[str, str, list[str]]]:
    """Yield name, version and SHA-256 hashes of what runtime.lock has for this system.

    The packages are installed.
    """
    for entry in (ROOT / "requirements/runtime.lock").read_text().replace("\\\n", " ").splitlines():
        pinned, *hashes = entry.split("--hash=sha256:")
        if pinned.startswith("#"):
            continue
        requirement = Requirement(pinned)
        if requirement.marker is None or requirement.marker.evaluate():
            version = str(requirement.specifier).removeprefix("==")
            if metadata(requirement.name)["Version"] != version:
                sys.exit(f"not installed: {pinned}")
            yield requirement.name, version, [text.strip() for text in hashes]


def license_of(known: PackageMetadata) -> str:
    """Return an SPDX expression, or the name that the metadata has."""
    if "License-Expression" in known:
        return known["License-Expression"]
    named = [line for line in known.get_all("Classifier") or [] if line.startswith("License ::")]
    return named[0].rpartition(" :: ")[2] if named else known["License"]


def component(name: str, version: str, hashes: list[str], kind: ComponentType) -> Component:
    """Return the component of an installed package."""
    known = metadata(name)
    url = PackageURL("pypi", None, name, version)
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(f"https://pypi.org/project/{name}/{version}/"),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=text) for text in hashes],
    )
    return Component(
        type=kind,
        name=name,
        version=version,
        purl=url,
        bom_ref=str(url),
        description=known["Summary"],
        licenses=[LicenseFactory().make_from_string(license_of(known))],
        external_references=[files] if hashes else [],
    )


def required(name: str) -> set[str]:
    """Return the packages that a package needs here; of the extras, ours for systemd counts."""
    needed = map(Requirement, metadata(name).get_all("Requires-Dist") or [])
    chosen = {"extra": "systemd" if name == NAME else ""}
    return {
        str(canonicalize_name(one.name))
        for one in needed
        if one.marker is None or one.marker.evaluate(chosen)
    }


def sbom(version: str, time: datetime) -> Bom:
    """Return the SBOM of a version of this project."""
    root = component(NAME, version, [], ComponentType.APPLICATION)
    parts = {
        name: component(name, number, hashes, ComponentType.LIBRARY)
        for name, number, hashes in locked()
    }
    bom = Bom(components=parts.values(), serial_number=uuid5(NAMESPACE_URL, str(root.purl)))
    bom.metadata.component = root
    bom.metadata.timestamp = time
    for name, part in [(NAME, root), *parts.items()]:
        bom.register_dependency(part, [parts[other] for other in required(name) if other in parts])
    return bom


def main() -> None:
    """Write the file."""
    source = (ROOT / "localechod/__init__.py").read_text()
    (version,) = re.findall(r'(?m)^__version__ = "(.*)"$', source)
    time = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    Path(sys.argv[1]).write_text(JsonV1Dot6(sbom(version, time)).output_as_string(indent=1) + "\n")


if __name__ == "__main__":
    main()
