"""The report about growth: its sentences follow from the figures."""

from pathlib import Path

import pytest

from benchmarks.growth import CONNECTIONS, ENDPOINTS, SERVERS, arguments
from benchmarks.growth_report import (
    Growth,
    Step,
    as_text,
    blocks,
    idle_endpoints_summary,
    linearity_summary,
    pictures,
)
from benchmarks.measure import Sample
from benchmarks.results import Machine, load, save

MACHINE = Machine("a processor", 2, "6.1", "CPython 3.11.2", 0.0)


def steps(name: str, counts: tuple[int, ...], *costs: float) -> list[Step]:
    return [
        Step(name, count, [Sample(1e6 / cost, cost)] * 3, 1024.0 + count)
        for count, cost in zip(counts, costs, strict=True)
    ]


def growth(ours: float = 4.0, spread: float = 6.0) -> Growth:
    """Return results with these costs at the most connections, and over the most endpoints."""
    connections = [
        *steps("C epoll", CONNECTIONS, 20, 2, 2, 2, 3),
        *steps("localechod", CONNECTIONS, 20, 4, 4, 4, ours),
    ]
    one_busy = steps("one", ENDPOINTS, 4, 4, 4, 4)
    return Growth(MACHINE, 3, 1.0, connections, one_busy, steps("all", ENDPOINTS, 4, 4, 5, spread))


def test_linear_growth_is_reported_with_its_figures() -> None:
    words = linearity_summary(growth())
    assert words.startswith("Growth is at most a tenth above linear, or above that of C:")
    assert "1,000 times the processor time (C: 1,500 times; linear: 1,000 times)" in words
    assert "each connection takes 1.00 KiB" in words
    assert "take 1.50 times the processor time" in words


def test_growth_like_that_of_the_baseline_counts_as_linear() -> None:
    assert linearity_summary(growth(ours=6.0)).startswith("Growth is at most")


@pytest.mark.parametrize("faster", [growth(ours=8.0), growth(spread=8000.0)])
def test_faster_growth_is_reported(faster: Growth) -> None:
    assert linearity_summary(faster).startswith("Processor time grows faster than linearly")


@pytest.mark.parametrize(
    ("costs", "word"),
    [
        ([4.0, 4.0, 4.0], "nothing"),
        ([4.1, 4.1, 4.1], "nothing"),  # within the noise
        ([3.0, 3.0, 3.0], "nothing"),
        ([3.5, 4.3, 4.4], "nothing"),  # the rounds differ
        ([4.8, 5.0, 5.0], "something"),
    ],
)
def test_the_cost_of_endpoints_without_traffic_is_reported(costs: list[float], word: str) -> None:
    alone = Step("one", 1, [Sample(100.0, 4.0)] * 3)
    last = Step("one", 1000, [Sample(90.0, cost) for cost in costs])
    words = idle_endpoints_summary([alone, last])
    assert words.startswith(f"An endpoint without traffic costs the others {word}: beside 999 of")
    assert "gives 0.90 (0.90 - 0.90)" in words


def test_each_block_of_the_page_has_its_picture() -> None:
    page = blocks(growth())
    assert page.keys() == pictures(growth()).keys() == {"connections", "endpoints"}
    for name, block in page.items():
        assert f"](pictures/performance-{name}.svg)" in block
    assert "| 10,000 | 333,333 | 250,000 | 3.0 | 4.0 | 10.8 | 10.8 |" in page["connections"]
    assert "| 1,000 | 250,000 | 166,667 | 4.0 | 6.0 | 2.0 |" in page["endpoints"]
    assert all(len(line) <= 80 for line in as_text(growth()).splitlines() if line.startswith("  "))


def test_kept_results_are_read_back(tmp_path: Path) -> None:
    save(tmp_path / "growth.json", growth())
    assert load(tmp_path / "growth.json", Growth) == growth()


def test_kept_results_cannot_be_kept_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments(["--repeats", "2"]).repeats == 2
    with pytest.raises(SystemExit):
        arguments(["--from", "a.json", "--json", "b.json"])
    assert "--from measures nothing" in capsys.readouterr().err
    assert SERVERS == ("C epoll", "localechod")
