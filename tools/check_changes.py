#!/usr/bin/env python3
"""Check the fragments in changes/, from which towncrier makes CHANGELOG.md at a release.

Prints a line for each mistake; the exit status is 1 if there is one. It needs the standard library
only: towncrier is needed for a release alone, and has four dependencies.
"""

import re
import sys
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\.(?P<category>[a-z]+)\.md")
WIDTH = 118  # of a line: in CHANGELOG.md it is indented


def mistakes(name: str, text: str, categories: Collection[str]) -> Iterator[str]:
    """Yield the mistakes in a fragment."""
    known = NAME.fullmatch(name)
    if known is None or known["category"] not in categories:
        yield f"is not named NAME.CATEGORY.md, with one of {', '.join(categories)}"
    if not text.endswith(".\n") or text != text.strip() + "\n":
        yield "does not end with a full stop and one newline"
    if text.startswith(("- ", "* ", "#")):
        yield "is a heading or a list item; towncrier adds that"
    if any(len(line) > WIDTH for line in text.splitlines()):
        yield f"has a line of more than {WIDTH} characters"


def main() -> int:
    """Check all fragments; return the exit status."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    found = [
        f"{file.relative_to(ROOT)} {mistake}\n"
        for file in sorted((ROOT / settings["directory"]).iterdir())
        if file != ROOT / settings["template"]
        for mistake in mistakes(file.name, file.read_text(), list(settings["fragment"]))
    ]
    sys.stderr.writelines(found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
