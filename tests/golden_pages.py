"""Golden pages: the output of a command is compared with a file that a person has reviewed.

After a wanted change `UPDATE_GOLDEN=1 ./dev test -k page` writes them anew, to be looked at in the
diff.
"""

import os
from pathlib import Path

_PAGES = Path(__file__).parent / "golden"


def compare(name: str, page: str) -> None:
    """Assert that a page is the one in tests/golden/NAME.txt."""
    file = _PAGES / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(page, encoding="utf-8")
    assert page == file.read_text(encoding="utf-8")
