"""Ratios: clear ones, and those of a busy machine."""

import pytest

from localechod.bench.quartiles import Quartiles
from localechod.lab import comparisons
from localechod.lab.experiment import Experiment, Status, conduct
from localechod.lab.registry import find
from localechod.lab.timing import EchoTransport, Ratio, compare


@pytest.mark.parametrize(
    ("quartiles", "faster", "slower"),
    [
        ((1.3, 1.4, 1.5), True, False),
        ((1.06, 1.2, 3.0), True, False),
        ((1.04, 1.2, 1.3), False, False),
        ((0.8, 1.0, 1.2), False, False),
        ((0.5, 0.6, 0.99), False, False),
        ((0.5, 0.6, 0.7), False, True),
    ],
)
def test_a_ratio_within_the_noise_is_not_clear(
    quartiles: tuple[float, float, float], *, faster: bool, slower: bool
) -> None:
    ratio = Ratio({}, Quartiles(*quartiles))
    assert (ratio.clearly_faster, ratio.clearly_slower) == (faster, slower)


@pytest.mark.parametrize(
    ("quartiles", "status", "holds", "surprises"),
    [
        ((1.3, 1.4, 1.5), Status.RAN, True, []),
        ((0.9, 1.2, 1.5), Status.SKIPPED, None, []),
        ((0.5, 0.6, 0.7), Status.RAN, False, ["faster: True -> False"]),
    ],
)
def test_an_unclear_ratio_is_skipped_and_a_clear_reversal_is_a_surprise(
    quartiles: tuple[float, float, float],
    status: Status,
    holds: bool | None,
    surprises: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ratio = Ratio({"one": 10.0, "other": 12.5}, Quartiles(*quartiles))
    monkeypatch.setattr(comparisons, "compare", lambda *_: ratio)
    (experiment,) = find(["faster-than-tcp"])
    assert isinstance(experiment, Experiment)
    result = conduct(experiment)
    assert (result.status, result.holds, result.surprises) == (status, holds, surprises)
    assert result.transcript[0].split() == ["one", "10.0", "µs"]
    assert result.transcript[-1].startswith("ratio (quartiles)")


@pytest.mark.parametrize("echo", list(EchoTransport))
def test_every_transport_is_measured(echo: EchoTransport) -> None:
    ratio = compare(echo, EchoTransport.LOCAL_STREAM)
    assert all(median > 0 for median in ratio.medians.values())
    assert set(ratio.medians) == {echo.value, EchoTransport.LOCAL_STREAM.value}
    assert ratio.quartiles.low <= ratio.quartiles.median <= ratio.quartiles.high
