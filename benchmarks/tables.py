"""A run as it is in the documentation: tables in Markdown, and pictures of bars."""

from collections.abc import Sequence

from benchmarks.bars import Bar, Group, picture
from benchmarks.page import image, table
from benchmarks.results import Outcome, Run
from benchmarks.scenarios import BEFORE, OURS, POLLING, RIVALS
from benchmarks.servers import FORKING, PARSING, PURE

_PLAIN = (OURS, PURE, *RIVALS)
_COMMON = (*PARSING, *FORKING)
_COLORS = ("first", "pale", "second")
_DESCRIPTIONS = {
    "servers": "bars: messages per second relative to a plain C server, by scenario",
    "today": "bars: the same for common servers",
    "polling": "bars: one client, with and without polling",
}


def blocks(run: Run) -> dict[str, str]:
    """Return the tables by the names of their blocks on the page; only those with rows."""
    tables = {
        "servers": _servers(_having(run, OURS)),
        "today": _today(_with_common(run.outcomes)),
        "polling": _polling(_polled(run)),
    }
    return {
        name: f"{image(name, _DESCRIPTIONS[name])}\n\n{found}\n\n{run}."
        for name, found in tables.items()
        if found
    }


def pictures(run: Run) -> dict[str, str]:
    """Return the pictures by the names of their blocks; only those with bars."""
    found = {}
    if outcomes := _having(run, OURS):
        groups = [_group(outcome, _PLAIN) for outcome in outcomes]
        legend = list(zip(_COLORS, _PLAIN, strict=True))
        title = "Messages per second, relative to a plain C server"
        found["servers"] = picture(title, groups, legend, "C")
    for outcome in _with_common(run.outcomes):
        groups = [
            Group(name, [Bar(outcome.ratio(name), _COLORS[0] if name == OURS else _COLORS[-1])])
            for name in (OURS, *_present(outcome, _COMMON))
        ]
        title = f"{outcome.scenario}, relative to a plain C server"
        found["today"] = picture(title, groups, [], "C")
    if outcomes := _polled(run):
        names = _polls(outcomes)
        groups = [_group(outcome, names) for outcome in outcomes]
        legend = list(
            zip(_COLORS, (name.removeprefix(f"{OURS}, ") for name in names), strict=False)
        )
        title = "One client, 64 bytes: messages per second, relative to a plain C server"
        found["polling"] = picture(title, groups, legend, "C")
    return found


def _servers(outcomes: Sequence[Outcome]) -> str:
    rows = [
        [
            outcome.scenario,
            *(outcome.ratio(name).text() if name in outcome.servers else "" for name in _PLAIN),
            f"{_cost(outcome, outcome.baseline)} / {_cost(outcome, OURS)}",
        ]
        for outcome in outcomes
    ]
    if not rows:
        return ""
    others = [
        f"{name} in {outcome.scenario}: {outcome.ratio(name).text()}."
        for outcome in outcomes
        if outcome not in _with_common(outcomes)
        for name in outcome.servers
        if name not in {outcome.baseline, BEFORE, *_PLAIN}
    ]
    return "\n\n".join([table(["", OURS, "pure Python", *RIVALS, "µs"], rows), *others])


def _today(outcomes: Sequence[Outcome]) -> str:
    rows = [
        [name, outcome.ratio(name).text(), outcome.ratio(OURS, name).text()]
        for outcome in outcomes
        for name in _present(outcome, _COMMON)
    ]
    return table(["", "relative to C", f"{OURS} relative to it"], rows) if rows else ""


def _polling(outcomes: Sequence[Outcome]) -> str:
    names = _polls(outcomes)
    rows = [
        [
            outcome.scenario,
            *(outcome.ratio(name).text() for name in names),
            " / ".join(_cost(outcome, name) for name in (outcome.baseline, *names)),
        ]
        for outcome in outcomes
    ]
    return table(["", *(name.removeprefix(f"{OURS}, ") for name in names), "µs"], rows) * bool(rows)


def _having(run: Run, *names: str) -> list[Outcome]:
    return [outcome for outcome in run.outcomes if outcome.servers.keys() >= {*names}]


def _with_common(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes for the table of common servers, of which one part may be missing."""
    return [
        outcome for outcome in outcomes if OURS in outcome.servers and _present(outcome, FORKING)
    ]


def _polled(run: Run) -> list[Outcome]:
    return [outcome for outcome in run.outcomes if _polls([outcome])]


def _polls(outcomes: Sequence[Outcome]) -> list[str]:
    return [name for outcome in outcomes[:1] for name in outcome.servers if POLLING in name]


def _present(outcome: Outcome, names: Sequence[str]) -> list[str]:
    """Return the names of measured servers, the fastest first; some may not be installed."""
    measured = [name for name in names if name in outcome.servers]
    return sorted(measured, key=lambda name: -outcome.ratio(name).median)


def _group(outcome: Outcome, names: Sequence[str]) -> Group:
    bars = [
        Bar(outcome.ratio(name), color)
        for color, name in zip(_COLORS, names, strict=False)
        if name in outcome.servers
    ]
    return Group(outcome.scenario, bars)


def _cost(outcome: Outcome, name: str) -> str:
    cost = outcome.cost(name)
    return f"{cost.median:.1f}" if cost else "-"
