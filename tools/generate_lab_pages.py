#!/usr/bin/env python3
"""Write docs/lab.md and docs/lab.zh.md from the lab's texts, or check them.

tools/generate_lab_pages.py           write both pages
tools/generate_lab_pages.py --check   write nothing; exit 1 with a diff where they differ
"""

import argparse
import difflib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from localechod.lab.catalog import Catalog  # noqa: E402 - this checkout's, installed or not
from localechod.lab.experiment import Experiment, Judgment, expected_verdict  # noqa: E402
from localechod.lab.registry import EXPERIMENTS  # noqa: E402

PAGES = {"en": ROOT / "docs" / "lab.md", "zh": ROOT / "docs" / "lab.zh.md"}


def page(language: str) -> str:
    """Return the page of one language: a table with a row for each experiment."""
    texts = Catalog.load(language)
    words = texts.words
    headers = words.page_headers.split(" | ")
    lines = [
        "<!-- Made by tools/generate_lab_pages.py from localechod/lab/texts; do not edit. -->",
        "",
        f"# {words.page_title}",
        "",
        words.page_intro,
        "",
        _row(headers),
        _row(["---"] * len(headers)),
        *(_row(_cells(each, texts)) for each in EXPERIMENTS),
    ]
    return "\n".join(lines) + "\n"


def _cells(experiment: Experiment | Judgment, texts: Catalog) -> list[str]:
    words, text = texts.words, texts.experiments[experiment.name]
    verdict = words.page_yes if expected_verdict(experiment) else words.page_no
    if isinstance(experiment, Judgment):
        verdict = words.page_judged.format(verdict=verdict)
    return [f"`{experiment.name}`", text.claim, verdict, text.why]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> int:
    """Return 0, or 1 where --check found a difference."""
    parser = argparse.ArgumentParser(description="Generate docs/lab.md and docs/lab.zh.md.")
    parser.add_argument("--check", action="store_true", help="compare with the committed pages")
    check = parser.parse_args().check
    lines: list[str] = []
    for language, path in PAGES.items():
        made = page(language)
        if not check:
            path.write_text(made, encoding="utf-8")
            continue
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        lines += difflib.unified_diff(
            old.splitlines(keepends=True), made.splitlines(keepends=True), str(path), "generated"
        )
    sys.stdout.writelines(lines)
    if lines:
        sys.stderr.write("the pages are not current: run tools/generate_lab_pages.py\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
