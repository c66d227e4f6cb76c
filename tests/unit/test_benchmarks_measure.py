"""A run of the load is a sample; one without replies is repeated."""

import pytest

from benchmarks import measure
from benchmarks.measure import Sample, alternate, load
from benchmarks.servers import Server

SERVER = Server("localechod", "/none", 1)
FORKS = Server("socat PIPE", "/none", 1, forks=True)


def replies(monkeypatch: pytest.MonkeyPatch, *counts: float) -> None:
    rounds = iter([(count, 0.5, 0.001) for count in counts])
    monkeypatch.setattr(measure, "_once", lambda *_: next(rounds))


def test_a_sample_has_a_rate_and_a_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    replies(monkeypatch, 100.0, 100.0)
    sample = load(SERVER, {0}, "load")
    assert sample.rate == 200.0
    assert sample.cost == pytest.approx(10.0)
    assert load(FORKS, {0}, "load") == Sample(200.0, None)


def test_a_run_without_replies_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replies(monkeypatch, 0.0, 0.0, 50.0)
    assert load(SERVER, {0}, "load").rate == 100.0


def test_the_load_sends_the_request_of_a_server_that_does_not_echo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands: list[list[str]] = []

    def once(_: Server, __: set[int], command: list[str]) -> tuple[float, float, float]:
        commands.append(command[1:])
        return 1.0, 1.0, 1.0

    monkeypatch.setattr(measure, "_once", once)
    load(Server("redis-server, ECHO", "/none", 1, exchange=("-m", "ECHO x")), {0}, "load", 32, 0.5)
    load(SERVER, {0}, "load", 32, 0.5)
    assert commands == [["-m", "ECHO x", "32", "0.5"], ["32", "0.5"]]


def test_a_server_that_never_replies_is_an_error_of_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replies(monkeypatch, *[0.0] * 5)
    with pytest.raises(SystemExit, match="load: no reply from localechod"):
        load(SERVER, {0}, "load")


def test_each_round_begins_with_the_next_server() -> None:
    order: list[str] = []

    def once(server: Server) -> Sample:
        order.append(server.name)
        return Sample(1.0, None)

    found = alternate([SERVER, FORKS], 2, once)
    assert order == [SERVER.name, FORKS.name, FORKS.name, SERVER.name]
    assert [len(samples) for samples in found.values()] == [2, 2]
