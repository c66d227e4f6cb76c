"""Fragments of the changelog: `./dev check` names each wrong one with its mistake."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def check(directory: Path, name: str, text: str) -> str:
    """Check one fragment beside the template; return the mistakes printed, "" if there are none."""
    for needed in ("pyproject.toml", "tools/check_changes.py", "changes/template.md"):
        (directory / needed).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / needed, directory / needed)
    (directory / "changes" / name).write_text(text)
    command = [sys.executable, str(directory / "tools/check_changes.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if done.stderr else 0)
    return done.stderr


def test_a_fragment_is_named_after_its_subject_and_category(tmp_path: Path) -> None:
    assert check(tmp_path, "daemon-limits.fixed.md", "A limit\nholds.\n") == ""


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("limits.md", "It holds.\n", "NAME.CATEGORY.md, with one of added, changed"),
        ("limits.mended.md", "It holds.\n", "NAME.CATEGORY.md"),
        ("Limits.fixed.md", "It holds.\n", "NAME.CATEGORY.md"),
        ("limits.fixed.txt", "It holds.\n", "NAME.CATEGORY.md"),
        ("limits.fixed.md", "", "does not end with a full stop"),
        ("limits.fixed.md", "It holds", "does not end with a full stop"),
        ("limits.fixed.md", "It holds.\n\n", "does not end with a full stop"),
        ("limits.fixed.md", "- It holds.\n", "a list item"),
        ("limits.fixed.md", f"It {'h' * 120}olds.\n", "more than 118 characters"),
    ],
)
def test_a_wrong_fragment_is_named_with_its_mistake(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    told = check(tmp_path, name, text)
    assert told.startswith(f"changes/{name} ")
    assert said in told
