"""The rule of language in CONTRIBUTING.md, as far as a pattern can check it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A clause that begins with "who" and has no noun before it: "Who does not read gets nothing."
WHO = r"(?:^\W*|[.;:(] )Who(?:ever)? [a-z]|[;:(] who(?:ever)? [a-z]"
HE = r"\b(?:[Hh]e|[Hh]is|[Hh]im|[Hh]imself)\b"

# CONTRIBUTING.md quotes what not to write.
QUOTES = "CONTRIBUTING.md"


def texts() -> list[Path]:
    """The files of the project that people read; what is generated or Chinese is left out."""
    command = ["git", "-C", str(ROOT), "ls-files"]
    if shutil.which("git") is None:
        return []
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode:
        return []
    suffixes = {"", ".py", ".c", ".h", ".md", ".toml", ".proto", ".sh", ".1", ".5", ".8"}
    return [
        ROOT / name
        for name in listed.stdout.split()
        if Path(name).suffix in suffixes
        and not re.search(r"\.zh\.|/zh\.toml|_pb2|^LICENSE|copyright$|test_language", name)
    ]


@pytest.mark.skipif(not texts(), reason="git does not list the files here")
@pytest.mark.parametrize(("pattern", "rule"), [(WHO, "a noun, not who"), (HE, "they, not he")])
def test_a_sentence_has_a_noun_for_its_subject(pattern: str, rule: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line) and not (path.name == QUOTES and line.startswith("|"))
    ]
    assert not found, f"{rule}:\n" + "\n".join(found)
