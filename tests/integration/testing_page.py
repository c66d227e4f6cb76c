"""The files that docs/testing.md shows, each by the name in its first line."""

import re
from collections.abc import Mapping

from tests.integration.harness import CHECKOUT

PAGE = (CHECKOUT / "docs" / "testing.md").read_text(encoding="utf-8")
FILES: Mapping[str, str] = {
    text.splitlines()[0].removeprefix("# "): text
    for text in re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE)
}
