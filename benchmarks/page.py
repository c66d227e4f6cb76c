"""The page that figures stand on: what is between its marks is made, the words around it are not.

<!-- benchmarks: NAME -->
what a run has found
<!-- /benchmarks -->
"""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

PAGE = "performance.md"
PICTURES = "pictures"


def parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """Return the beginning of a benchmark's command line; `about` is printed as it is."""
    kind = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=name, description=about, formatter_class=kind)


def parsed(
    parser: argparse.ArgumentParser, words: Sequence[str] | None = None
) -> argparse.Namespace:
    """Read a benchmark's command line, with what all of them have beside its own.

    Raises:
        SystemExit: it cannot be followed; said on standard error.
    """
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures there")
    parser.add_argument(
        "--from", dest="kept", type=Path, action="append", metavar="FILE",
        help="take kept figures instead of measuring; of several files the later ones count",
    )  # fmt: skip
    parser.add_argument(
        "--write", type=Path, metavar="DIR",
        help=f"put tables into DIR/{PAGE}, and pictures into DIR/{PICTURES}",
    )  # fmt: skip
    options = parser.parse_args(words)
    if options.kept and options.json:
        parser.error("--from measures nothing that --json could keep")
    if options.write and not (options.write / PAGE).is_file():  # before an hour has gone by
        parser.error(f"there is no {options.write / PAGE}")
    return options


def replaced(text: str, blocks: Mapping[str, str]) -> str:
    """Return a page with new text between the marks of each block.

    Raises:
        ValueError: a block has no place on the page, or more than one.
    """
    for name, block in blocks.items():
        pattern = rf"(?s)(<!-- benchmarks: {re.escape(name)} -->\n).*?(<!-- /benchmarks -->)"
        # Blank lines: a comment and a table that follows it at once would be one piece of HTML.
        new = f"\n{block.strip()}\n\n"
        text, count = re.subn(pattern, lambda match, new=new: match[1] + new + match[2], text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{count} places for the block {name}")
    return text


def write(directory: Path, blocks: Mapping[str, str], pictures: Mapping[str, str]) -> None:
    """Put blocks into the page and pictures beside it, and say which files that were.

    Args:
        directory: where the page lies.
        blocks: Markdown by the name of its place.
        pictures: SVG by the name of the block that shows it.

    Raises:
        SystemExit: the page cannot be read, or has no place for a block; nothing is written.
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


def shown(name: str, words: str) -> str:
    """Return the Markdown that shows a block's picture; `words` are for who cannot see it."""
    return f"![{words}]({_file(name)})"


def _file(name: str) -> str:
    return f"{PICTURES}/performance-{name}.svg"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)
