"""The results of `bench` as text, as JSON and as a picture."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from localechod.bench.figures import PERCENTS, percentiles, rounded
from localechod.bench.histogram import RELATIVE_ERROR
from localechod.bench.measurement import Plan, Result
from localechod.bench.plot import LEGEND, plot
from localechod.bench.quartiles import Quartiles
from localechod.bench.svg import picture
from localechod.ctl import render

_US = 1000.0  # ns
_NAMES = [f"p{percent:g}" for percent in PERCENTS] + ["max"]


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a measurement.

    Attributes:
        title: the server, or the servers, that were measured.
        results: each with one or more rounds; the others are compared with the first.
        plan: the load.
    """

    title: str
    results: Sequence[Result]
    plan: Plan

    def without_failures(self) -> "Report":
        """Return the report without the servers that failed."""
        return replace(self, results=[each for each in self.results if not each.failure])

    def as_text(self, width: int) -> str:
        """Return a page with rates, latencies, processor time and a plot.

        Args:
            width: columns of the terminal.
        """
        results = self.results
        rates = ["", "REPLIES/S", "QUARTILES"]
        if len(results) > 1:
            rates += [f"OF {results[0].name.upper()}", "QUARTILES"]
        times = ["LATENCY, us", *(name.upper() for name in _NAMES), "CPU, us: CLIENT", "SERVER"]
        paragraphs = [
            f"{self.title}\n{_load(self.plan)}",
            render.table(rates, _rates(results)),
            render.table(
                times, [[each.name, *_latencies(each), *_costs(each)] for each in results]
            ),
            "\n".join(plot(_rows(results), width)),
            LEGEND,
        ]
        return "\n\n".join(paragraphs)

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON; each ratio is the one to the first result."""
        return {
            "title": self.title,
            "machine": {
                "cpus": os.cpu_count(),
                "kernel": platform.release(),
                "python": platform.python_version(),
            },
            "plan": asdict(self.plan),
            "latency_relative_error": RELATIVE_ERROR,
            "results": [_entry(each, self.results[0]) for each in self.results],
        }

    def as_svg(self) -> str:
        """Return the plot as a picture."""
        notes = {each.name: f"{rounded(each.rate.median)} replies/s" for each in self.results}
        return picture(_rows(self.results), f"{self.title}: {_load(self.plan)}", notes)


def _load(plan: Plan) -> str:
    parts = [
        _count(plan.size, "byte"),
        _count(plan.connections, "connection"),
        f"{plan.in_flight} in flight",
        f"{_count(plan.repeats, 'round')} of {plan.seconds:g} s",
        "any CPU" if plan.processor is None else f"all on CPU {plan.processor}",
    ]
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _rates(results: Sequence[Result]) -> list[list[str]]:
    rows = []
    for each in results:
        row = [each.name, rounded(each.rate.median), _quartiles(each.rate)]
        if len(results) > 1:
            ratio = _ratio(each, results[0])
            row += [f"{ratio.median:.2f}", f"{ratio.low:.2f} - {ratio.high:.2f}"]
        rows.append(row)
    return rows


def _ratio(result: Result, base: Result) -> Quartiles:
    rates, others = ([each.rate for each in one.rounds] for one in (result, base))
    return Quartiles.of_ratios(rates, others)


def _quartiles(quartiles: Quartiles) -> str:
    return f"{rounded(quartiles.low)} - {rounded(quartiles.high)}"


def _latencies(result: Result) -> list[str]:
    return [rounded(value / _US) for value in percentiles(result.latencies)]


def _costs(result: Result) -> list[str]:
    server = result.server_cost
    return [rounded(result.client_cost * 1e6), "-" if server is None else rounded(server * 1e6)]


def _rows(results: Sequence[Result]) -> dict[str, list[int]]:
    return {each.name: percentiles(each.latencies) for each in results}


def _entry(result: Result, base: Result) -> dict[str, Any]:
    values = percentiles(result.latencies)
    server = result.server_cost
    return {
        "name": result.name,
        "server_pid": result.pid,
        "replies": result.latencies.count,
        "replies_per_second": _as_dict(result.rate),
        "ratio": None if result is base else _as_dict(_ratio(result, base)),
        "latency_us": {n: v / _US for n, v in zip(_NAMES, values, strict=True)},
        "cpu_us_per_message": {
            "client": result.client_cost * 1e6,
            "server": None if server is None else server * 1e6,
        },
    }


def _as_dict(quartiles: Quartiles) -> dict[str, float]:
    return {"low": quartiles.low, "median": quartiles.median, "high": quartiles.high}
