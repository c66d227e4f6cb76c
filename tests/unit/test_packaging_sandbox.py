"""The sandbox is as tight as docs/sandbox.md says, and each point that is left has its reason."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.harness import NEEDS_ROOT

CHECKOUT = Path(__file__).resolve().parents[2]
UNITS = CHECKOUT / "packaging" / "systemd"
PAGE = (CHECKOUT / "docs" / "sandbox.md").read_text(encoding="utf-8")
VARIANTS = ["shipped", "never root"]

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here"
)


def analyze(directory: Path, variant: str, *options: str) -> str:
    """Return what `systemd-analyze security` says of the unit files, without a running systemd."""
    unit = directory / "localechod.service"
    shutil.copy(UNITS / unit.name, unit)
    if variant == "never root":
        drop_ins = directory / f"{unit.name}.d"
        drop_ins.mkdir()
        shutil.copy(UNITS / "never-root.conf", drop_ins)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", *options, unit],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze here is too old to judge a file")
    if "Failed to create directory '/run/systemd" in done.stderr:
        pytest.skip(NEEDS_ROOT)  # on a machine without systemd, for a directory of its own
    assert done.returncode == 0, done.stderr
    return done.stdout


def exposure(directory: Path, variant: str) -> str:
    last = analyze(directory, variant).splitlines()[-1]
    return last.partition("level for localechod.service: ")[2].split()[0]


def table(variant: str) -> dict[str, str]:
    """Return what docs/sandbox.md says is left, with the price of each point."""
    rows = re.findall(r"^\| `(.+?)` \| (\S+) \| (\S+) \| (\S.*) \|$", PAGE, re.MULTILINE)
    column = 1 + VARIANTS.index(variant)
    assert all(len(row[3]) > 10 for row in rows)
    return {row[0].replace("\\|", "|"): row[column] for row in rows if row[column] != "-"}


def by_the_judge_of_the_page() -> None:
    """Skip the test where another version judges: each has points and prices of its own."""
    version = subprocess.run(
        ["systemd-analyze", "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    if f"systemd {version} " not in PAGE:
        pytest.skip(f"docs/sandbox.md has the prices of another systemd than {version}")


@pytest.mark.parametrize(("variant", "most"), [("shipped", 2.4), ("never root", 1.5)])
def test_the_exposure_is_bounded(tmp_path: Path, variant: str, most: float) -> None:
    assert float(exposure(tmp_path, variant)) <= most


@pytest.mark.parametrize(
    ("variant", "words"), [("shipped", "rates it"), ("never root", "never-root.conf` it is")]
)
def test_the_exposure_is_what_the_page_says(tmp_path: Path, variant: str, words: str) -> None:
    by_the_judge_of_the_page()
    assert f"{words} {exposure(tmp_path, variant)}" in PAGE


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_point_that_is_left_has_its_price_and_reason(tmp_path: Path, variant: str) -> None:
    by_the_judge_of_the_page()
    judged = json.loads(analyze(tmp_path, variant, "--json=short"))
    left = {point["name"]: point["exposure"] for point in judged if point["exposure"]}
    assert left == table(variant)
