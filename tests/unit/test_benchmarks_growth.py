"""What is said of how cost grows: the figures decide which sentence it is."""

from pathlib import Path

import pytest

from benchmarks.growth import CONNECTIONS, ENDPOINTS, SERVERS, arguments
from benchmarks.growthreport import Growth, Step, drawn, linear_words, quiet_words, told, written
from benchmarks.measure import Figure
from benchmarks.results import Machine, load, save

MACHINE = Machine("a processor", 2, "6.1", "CPython 3.11.2", 0.0)


def steps(name: str, counts: tuple[int, ...], *costs: float) -> list[Step]:
    return [
        Step(name, count, [Figure(1e6 / cost, cost)] * 3, 1024.0 + count)
        for count, cost in zip(counts, costs, strict=True)
    ]


def growth(ours: float = 4.0, spread: float = 6.0) -> Growth:
    """Return figures where at most connections, and over most endpoints, a message costs that."""
    connections = [
        *steps("C epoll", CONNECTIONS, 20, 2, 2, 2, 3),
        *steps("localechod", CONNECTIONS, 20, 4, 4, 4, ours),
    ]
    quiet = steps("one", ENDPOINTS, 4, 4, 4, 4)
    return Growth(MACHINE, 3, 1.0, connections, quiet, steps("all", ENDPOINTS, 4, 4, 5, spread))


def test_what_grows_linearly_is_called_so_with_its_figures() -> None:
    words = linear_words(growth())
    assert words.startswith("Nothing grows faster than linearly: from 10 to 10,000 connections")
    assert "1,000 times the processor time (C: 1,500 times; linear: 1,000 times)" in words
    assert "each connection takes 1.00 KiB" in words
    assert "take 1.50 times the processor time" in words


def test_what_grows_as_the_yardstick_does_is_not_held_against_us() -> None:
    assert linear_words(growth(ours=6.0)).startswith("Nothing grows faster")


@pytest.mark.parametrize("faster", [growth(ours=8.0), growth(spread=8000.0)])
def test_what_grows_faster_is_not_passed_over(faster: Growth) -> None:
    assert linear_words(faster).startswith("Processor time grows faster than linearly")


@pytest.mark.parametrize(
    ("costs", "word"),
    [
        ([4.0, 4.0, 4.0], "nothing"),
        ([4.1, 4.1, 4.1], "nothing"),  # within what such a machine can tell
        ([3.0, 3.0, 3.0], "nothing"),
        ([3.5, 4.3, 4.4], "nothing"),  # the rounds do not agree
        ([4.8, 5.0, 5.0], "something"),
    ],
)
def test_endpoints_without_traffic_cost_nothing_or_something(costs: list[float], word: str) -> None:
    alone = Step("one", 1, [Figure(100.0, 4.0)] * 3)
    last = Step("one", 1000, [Figure(90.0, cost) for cost in costs])
    words = quiet_words([alone, last])
    assert words.startswith(f"An endpoint without traffic costs the others {word}: beside 999 of")
    assert "gives 0.90 (0.90 - 0.90)" in words


def test_the_page_and_the_pictures_are_about_the_same() -> None:
    blocks, pictures = written(growth()), drawn(growth())
    assert blocks.keys() == pictures.keys() == {"connections", "endpoints"}
    for name, block in blocks.items():
        assert f"](pictures/performance-{name}.svg)" in block
    assert "| 10,000 | 333,333 | 250,000 | 3.0 | 4.0 | 10.8 | 10.8 |" in blocks["connections"]
    assert "| 1,000 | 250,000 | 166,667 | 4.0 | 6.0 | 2.0 |" in blocks["endpoints"]
    assert all(len(line) <= 80 for line in told(growth()).splitlines() if line.startswith("  "))


def test_figures_come_back_as_they_were_kept(tmp_path: Path) -> None:
    save(tmp_path / "growth.json", growth())
    assert load(tmp_path / "growth.json", Growth) == growth()


def test_kept_figures_are_not_kept_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments(["--repeats", "2"]).repeats == 2
    with pytest.raises(SystemExit):
        arguments(["--from", "a.json", "--json", "b.json"])
    assert "--from measures nothing" in capsys.readouterr().err
    assert SERVERS == ("C epoll", "localechod")
