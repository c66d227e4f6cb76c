"""A round of the load: what is a figure, and what is measured again."""

import pytest

from benchmarks import measure
from benchmarks.measure import Figure, alternate, load
from benchmarks.servers import Server

SERVER = Server("localechod", "/none", 1)
FORKS = Server("socat PIPE", "/none", 1, forks=True)


def told(monkeypatch: pytest.MonkeyPatch, *counts: float) -> None:
    rounds = iter([(count, 0.5, 0.001) for count in counts])
    monkeypatch.setattr(measure, "_once", lambda *_: next(rounds))


def test_a_round_is_a_rate_and_a_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, 100.0, 100.0)
    figure = load(SERVER, {0}, "load")
    assert figure.rate == 200.0
    assert figure.cost == pytest.approx(10.0)
    assert load(FORKS, {0}, "load") == Figure(200.0, None)


def test_a_round_in_which_nothing_came_back_is_measured_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told(monkeypatch, 0.0, 0.0, 50.0)
    assert load(SERVER, {0}, "load").rate == 100.0


def test_a_server_that_never_answers_ends_it_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, *[0.0] * 5)
    with pytest.raises(SystemExit, match="load: nothing comes back from localechod"):
        load(SERVER, {0}, "load")


def test_every_round_begins_with_another_server() -> None:
    order: list[str] = []

    def once(server: Server) -> Figure:
        order.append(server.name)
        return Figure(1.0, None)

    found = alternate([SERVER, FORKS], 2, once)
    assert order == [SERVER.name, FORKS.name, FORKS.name, SERVER.name]
    assert [len(figures) for figures in found.values()] == [2, 2]
