"""The loads of `./dev soak` in small: so that what takes minutes still works when it is wanted."""

from collections.abc import Callable

import pytest

from tests.soak.churn import churn, odd
from tests.soak.crowd import crowd, exhaustion
from tests.soak.target import Report


@pytest.mark.parametrize(
    ("load", "size"), [(crowd, 300), (exhaustion, 80), (churn, 600), (odd, 100)]
)
def test_a_small_load_keeps_its_bounds(load: Callable[[Report, int], None], size: int) -> None:
    report = Report()
    load(report, size)
    text = report.text()
    assert report.broken == 0, text
    assert text.endswith("every bound kept")
    assert max(map(len, text.splitlines())) <= 80


def test_a_broken_bound_is_told_and_counted() -> None:
    report = Report()
    report.add("descriptors", "12 (was 9)", "as before", fine=False)
    assert report.broken == 1
    assert "BROKEN" in report.text()
    assert report.text().endswith("1 bounds broken")
