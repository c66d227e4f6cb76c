"""localechoctl lab: test the claims of a tutorial, live, and show the results."""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import typer

from localechod.ctl import render
from localechod.ctl.wrap import fill
from localechod.lab import registry
from localechod.lab.catalog import Catalog, Words, language
from localechod.lab.experiment import Result, Status, conduct
from localechod.text import escape

_WIDEST = 120  # columns; longer lines are hard to read


def experiment_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the experiments whose names begin with `incomplete`, for the Tab key."""
    taken = ctx.params.get("names") or ()
    names = (each.name for each in registry.EXPERIMENTS)
    return [name for name in names if name.startswith(incomplete) and name not in taken]


def lab(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="EXPERIMENT",
            help="Names of experiments; by default, all.",
            show_default=False,
            autocompletion=experiment_names,
        ),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the experiments without running them.")
    ] = False,
    lang: Annotated[
        Literal["en", "zh"] | None,
        typer.Option(help="Language; by default, by LC_ALL, LC_MESSAGES or LANG."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Test the claims of a tutorial about local sockets, live.

    The tutorial is "What? Local sockets, too?" (in Chinese). Each experiment runs in a private
    directory with processes of its own. It shows the claim, the observation, the explanation, and
    whether the claim holds. No daemon is needed. One experiment needs root.

    Exit status: 0 if every result is the expected one, whether the claim holds or not; 1 after a
    surprise. To run the small servers and clients by hand: python3 -m localechod.lab.programs

    Examples:
        localechoctl lab
        localechoctl lab only-client empty-message
        localechoctl lab --lang zh --list
    """
    chosen = registry.find(names or ())
    texts = Catalog.load(lang or language(os.environ))
    if listed:
        _list(texts, [each.name for each in chosen], json=json)
        return
    results: list[Result] = []
    for experiment in chosen:
        result = conduct(experiment)
        if not json:
            if not results:
                _emit([*fill(texts.words.lab, _columns()), ""])
            _emit(block(result, texts, _columns()))
        results.append(result)
    if json:
        render.emit_json([as_json(each, texts) for each in results if each.holds is not None])
        _report_skipped(results, texts.words)
    else:
        _emit(summary(results, texts.words, _columns()))
    if any(each.surprises for each in results):
        raise typer.Exit(1)


def block(result: Result, texts: Catalog, columns: int) -> list[str]:
    """Return the lines that show one result, followed by an empty line."""
    words, text = texts.words, texts.experiments[result.name]
    rows = [
        (words.section, [text.section]),
        (words.claim, [text.claim]),
        (words.observed, _observed(result, words)),
        (words.why, [text.why]),
        (words.verdict, [_verdict(result, words)]),
    ]
    if result.surprises:
        rows.append(("!", [words.surprise, *result.surprises]))
    indent = max(render.width(label) for label, _ in rows) + 4
    shown = [render.colour(f"{result.name}: {text.title}", "bold")]
    for label, paragraphs in rows:
        lines = [line for each in paragraphs for line in _fitted(each, columns - indent)]
        paint = _colour(result) if label in {words.verdict, "!"} else ""
        for number, line in enumerate(lines):
            margin = f"  {'' if number else label}"
            painted = render.colour(line, paint) if paint else _escaped(line)
            shown.append(margin + " " * (indent - render.width(margin)) + painted)
    return [*shown, ""]


def summary(results: Sequence[Result], words: Words, columns: int) -> list[str]:
    """Return the summary: how many claims hold, which ones do not, and what was skipped."""
    judged = [each for each in results if each.holds is not None]
    sentences = [
        words.summary.format(holds=sum(bool(each.holds) for each in judged), count=len(judged))
    ]
    for sentence, names in (
        (words.summary_fails, [each.name for each in judged if not each.holds]),
        (words.summary_skipped, [each.name for each in results if each.holds is None]),
        (words.summary_surprises, [each.name for each in results if each.surprises]),
    ):
        if names:
            sentences.append(sentence.format(names=words.separator.join(names)))
    return [line for sentence in sentences for line in fill(sentence, columns)]


def as_json(result: Result, texts: Catalog) -> dict[str, Any]:
    """Return the documented JSON of a result that has a verdict."""
    text = texts.experiments[result.name]
    return {
        "name": result.name,
        "claim": text.claim,
        "holds": result.holds,
        "observed": "\n".join(_observed(result, texts.words)),
        "why": text.why,
        "section": text.section,
        "status": result.status.value,
        "surprises": result.surprises,
    }


def _observed(result: Result, words: Words) -> list[str]:
    return [words.unmeasured] if result.status is Status.JUDGED else result.transcript


def _verdict(result: Result, words: Words) -> str:
    if result.holds is None:
        return words.skipped.format(reason=getattr(words, result.reason))
    verdict = words.holds if result.holds else words.fails
    return words.judged.format(verdict=verdict) if result.status is Status.JUDGED else verdict


def _escaped(line: str) -> str:
    """Escape a line, except backslashes: strings are already quoted, as by strace(1)."""
    return escape(line).replace("\\\\", "\\")


def _colour(result: Result) -> str:
    if result.surprises:
        return "red"
    return "dim" if result.holds is None else "green" if result.holds else "yellow"


def _fitted(line: str, columns: int) -> list[str]:
    """Return a line that fits as it is, with its spaces; break any other line."""
    return [line] if render.width(line) <= columns else fill(line, columns)


def _list(texts: Catalog, names: Sequence[str], *, json: bool) -> None:
    titles = {name: texts.experiments[name].title for name in names}
    if json:
        render.emit_json([{"name": name, "title": title} for name, title in titles.items()])
        return
    widest = max(map(len, names))
    _emit(f"{name:<{widest}}  {title}" for name, title in titles.items())


def _report_skipped(results: Iterable[Result], words: Words) -> None:
    """Report skipped experiments on standard error: without a verdict they are not in the list."""
    for each in results:
        if each.holds is None:
            sys.stderr.write(f"{each.name}: {_verdict(each, words)}\n")


def _columns() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST)


def _emit(lines: Iterable[str]) -> None:
    for line in lines:
        render.emit(line)
    sys.stdout.flush()  # show each result at once, also through a pipe
