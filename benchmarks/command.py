"""The command line of a benchmark: measure or read kept results; keep, print and write them."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from benchmarks import page, results
from benchmarks.servers import interpreter

T = TypeVar("T")


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help shows `description` with its line breaks."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=name, description=description, formatter_class=formatter)


def add_against(parser: argparse.ArgumentParser, *other_names: str) -> None:
    """Add the option --against, which names another checkout."""
    parser.add_argument(
        "--against", *other_names, type=_checkout, metavar="DIR",
        help="also measure the daemon of the checkout in DIR, in the same rounds",
    )  # fmt: skip


def _checkout(text: str) -> Path:
    directory = Path(text).resolve()
    if not Path(interpreter(directory)).is_file():
        raise argparse.ArgumentTypeError(f"there is no {interpreter(directory)}")
    return directory


def parse(parser: argparse.ArgumentParser, args: Sequence[str] | None = None) -> argparse.Namespace:
    """Add the options that all benchmarks share, and parse the command line.

    Raises:
        SystemExit: the command line is wrong; the reason is on standard error.
    """
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results in FILE")
    parser.add_argument(
        "--from", dest="kept", type=Path, action="append", metavar="FILE",
        help="read kept results instead of measuring; of several files, the later ones prevail",
    )  # fmt: skip
    parser.add_argument(
        "--write", type=Path, metavar="DIR",
        help=f"write tables into DIR/{page.PAGE} and pictures into DIR/{page.PICTURES}",
    )  # fmt: skip
    options = parser.parse_args(args)
    if options.kept and options.json:
        parser.error("--from measures nothing that --json could keep")
    if options.write and not (options.write / page.PAGE).is_file():  # checked before an hour passes
        parser.error(f"there is no {options.write / page.PAGE}")
    return options


def _no_pictures(_: object) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Benchmark(Generic[T]):
    """A benchmark with results of one type.

    Attributes:
        kind: the type of the results.
        as_text: returns the text to print.
        blocks: returns Markdown by the name of its block on the page.
        pictures: returns SVG by the name of the block that shows it.
    """

    kind: type[T]
    as_text: Callable[[T], str]
    blocks: Callable[[T], Mapping[str, str]]
    pictures: Callable[[T], Mapping[str, str]] = _no_pictures

    def run(self, options: argparse.Namespace, measure: Callable[[], T]) -> None:
        """Measure, or read kept results; then keep, print and write them as `options` say.

        Raises:
            SystemExit: kept results cannot be read, or the page cannot be written.
        """
        if options.kept:
            found = results.load(options.kept[-1], self.kind)
        else:
            found = measure()
            if options.json:
                results.save(options.json, found)
        print(self.as_text(found))
        if options.write:
            page.write(options.write, self.blocks(found), self.pictures(found))
