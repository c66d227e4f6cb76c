"""The page with the results: text between marks is generated, all other text is not.

<!-- benchmarks: NAME -->
generated text
<!-- /benchmarks -->
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

PAGE = "performance.md"
PICTURES = "pictures"


def replaced(text: str, blocks: Mapping[str, str]) -> str:
    """Return a page with new text between the marks of each block.

    Raises:
        ValueError: a block has no marks on the page, or more than one pair.
    """
    for name, block in blocks.items():
        pattern = rf"(?s)(<!-- benchmarks: {re.escape(name)} -->\n).*?(<!-- /benchmarks -->)"
        # Blank lines: Markdown takes a table directly after a comment for a part of its HTML.
        new = f"\n{block.strip()}\n\n"
        text, count = re.subn(pattern, lambda match, new=new: match[1] + new + match[2], text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{count} places for the block {name}")
    return text


def write(directory: Path, blocks: Mapping[str, str], pictures: Mapping[str, str]) -> None:
    """Write blocks into the page and pictures beside it, and print the names of the files.

    Args:
        directory: where the page is.
        blocks: Markdown by the name of the block.
        pictures: SVG by the name of the block that shows it.

    Raises:
        SystemExit: the page cannot be read, or lacks a block; nothing is written then.
    """
    file = directory / PAGE
    try:
        text = replaced(file.read_text(encoding="utf-8"), blocks)
        (directory / PICTURES).mkdir(exist_ok=True)
        for name, picture in pictures.items():
            (directory / _file(name)).write_text(picture, encoding="utf-8")
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        sys.exit(f"open failed: {error.strerror} ({error.errno}): {error.filename}")
    except ValueError as error:
        sys.exit(f"{file}: {error}")
    print(f"\nwritten in {directory}: {PAGE} ({', '.join(blocks)})", *map(_file, pictures))


def image(name: str, description: str) -> str:
    """Return the Markdown that shows a block's picture; screen readers read the description."""
    return f"![{description}]({_file(name)})"


def _file(name: str) -> str:
    return f"{PICTURES}/performance-{name}.svg"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)
