"""A run as the documentation has it: Markdown for its tables, pictures of bars."""

from collections.abc import Sequence

from benchmarks.bars import Bar, Group, picture
from benchmarks.page import shown, table
from benchmarks.results import Outcome, Run
from benchmarks.scenarios import OURS, POLLING, RIVALS
from benchmarks.servers import OTHERS, PURE
from localechod.bench.quartiles import Quartiles

_PLAIN = (OURS, PURE, *RIVALS)
_TONES = ("first", "pale", "second", "third")
_SHOWS = {
    "servers": "bars: messages a second beside a plain C server, by scenario",
    "today": "bars: the same for socat, ncat and s6-ipcserver",
    "polling": "bars: one client, with and without polling",
}


def written(run: Run) -> dict[str, str]:
    """Return the tables by the names of their places on the page; only those that have rows."""
    tables = {
        "servers": _servers(_having(run, OURS)),
        "today": _today(_having(run, OURS, *OTHERS[:1])),
        "polling": _polling(_polled(run)),
    }
    return {
        name: f"{shown(name, _SHOWS[name])}\n\n{found}\n\n{run}."
        for name, found in tables.items()
        if found
    }


def drawn(run: Run) -> dict[str, str]:
    """Return the pictures by the names of their blocks; only those that have bars."""
    pictures = {}
    if outcomes := _having(run, OURS):
        groups = [_group(outcome, _PLAIN) for outcome in outcomes]
        legend = list(zip(_TONES, _PLAIN, strict=True))
        title = "Messages a second, as a share of a plain C server's"
        pictures["servers"] = picture(title, groups, legend, "C")
    if outcomes := _having(run, OURS, *OTHERS[:1]):
        (outcome,) = outcomes
        groups = [
            Group(name, [Bar(outcome.ratio(name), _TONES[0] if name == OURS else _TONES[-1])])
            for name in (OURS, *_present(outcome, OTHERS))
        ]
        title = f"{outcome.scenario}, as a share of a plain C server's"
        pictures["today"] = picture(title, groups, [], "C")
    if outcomes := _polled(run):
        names = _polls(outcomes)
        groups = [_group(outcome, names) for outcome in outcomes]
        legend = list(zip(_TONES, (name.removeprefix(f"{OURS}, ") for name in names), strict=False))
        title = "One client, 64 bytes, as a share of a plain C server's messages a second"
        pictures["polling"] = picture(title, groups, legend, "C")
    return pictures


def share(quartiles: Quartiles) -> str:
    """Return a ratio as a cell: the median, and the quartiles in brackets."""
    return f"{quartiles.median:.2f} ({quartiles.low:.2f} - {quartiles.high:.2f})"


def _servers(outcomes: Sequence[Outcome]) -> str:
    rows = [
        [
            outcome.scenario,
            *(share(outcome.ratio(name)) if name in outcome.servers else "" for name in _PLAIN),
            f"{_cost(outcome, outcome.yardstick)} / {_cost(outcome, OURS)}",
        ]
        for outcome in outcomes
    ]
    if not rows:
        return ""
    others = [
        f"{name} in {outcome.scenario}: {share(outcome.ratio(name))}."
        for outcome in outcomes
        for name in outcome.servers
        if name not in {outcome.yardstick, *_PLAIN, *OTHERS}
    ]
    return "\n\n".join([table(["", OURS, "pure Python", *RIVALS, "µs"], rows), *others])


def _today(outcomes: Sequence[Outcome]) -> str:
    rows = [
        [name, share(outcome.ratio(name)), share(outcome.ratio(OURS, name))]
        for outcome in outcomes
        for name in _present(outcome, OTHERS)
    ]
    return table(["", "beside C", f"{OURS} beside it"], rows) if rows else ""


def _polling(outcomes: Sequence[Outcome]) -> str:
    names = _polls(outcomes)
    rows = [
        [
            outcome.scenario,
            *(share(outcome.ratio(name)) for name in names),
            " / ".join(_cost(outcome, name) for name in (outcome.yardstick, *names)),
        ]
        for outcome in outcomes
    ]
    return table(["", *(name.removeprefix(f"{OURS}, ") for name in names), "µs"], rows) * bool(rows)


def _having(run: Run, *names: str) -> list[Outcome]:
    return [outcome for outcome in run.outcomes if outcome.servers.keys() >= {*names}]


def _polled(run: Run) -> list[Outcome]:
    return [outcome for outcome in run.outcomes if _polls([outcome])]


def _polls(outcomes: Sequence[Outcome]) -> list[str]:
    return [name for outcome in outcomes[:1] for name in outcome.servers if POLLING in name]


def _present(outcome: Outcome, names: Sequence[str]) -> list[str]:
    """Return names in the order of their rates; not everything is installed everywhere."""
    here = [name for name in names if name in outcome.servers]
    return sorted(here, key=lambda name: -outcome.ratio(name).median)


def _group(outcome: Outcome, names: Sequence[str]) -> Group:
    bars = [
        Bar(outcome.ratio(name), tone)
        for tone, name in zip(_TONES, names, strict=False)
        if name in outcome.servers
    ]
    return Group(outcome.scenario, bars)


def _cost(outcome: Outcome, name: str) -> str:
    cost = outcome.cost(name)
    return f"{cost.median:.1f}" if cost else "-"
