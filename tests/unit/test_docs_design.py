"""The list of modules in docs/design.md is that of the tree."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "localechod"


def listed() -> dict[str, list[str]]:
    """Return the names that the page lists, by package; packages end in a slash."""
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    block = page.partition("\n## Layout\n\n")[2].partition("\n\nA package imports")[0]
    found: dict[str, list[str]] = {}
    above = [""]
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip()) - 4) // 2
        if depth > 2:  # the description goes on
            continue
        del above[depth + 1 :]
        package = above[depth]
        names = re.split(r" {2,}", line.strip())[0].split()
        found.setdefault(package, []).extend(names)
        above.append(package + names[-1])
    return found


def there(package: str) -> list[str]:
    folder = PACKAGE / package
    modules = [path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")]
    return modules + [f"{path.parent.name}/" for path in folder.glob("*/__init__.py")]


@pytest.mark.parametrize("package", listed() or ["the list was not found"])
def test_every_module_is_listed_once(package: str) -> None:
    assert sorted(listed()[package]) == sorted(there(package))
