"""The report of `bench`, from fixed figures: golden files for 80 and 120 columns, JSON and SVG."""

import json
from xml.etree import ElementTree as ET

import pytest

from localechod.bench.histogram import Histogram
from localechod.bench.load import Round
from localechod.bench.measurement import Plan, Result
from localechod.ctl.bench_report import Report
from localechod.errors import LocalechodError
from tests.golden_pages import compare

PLAN = Plan(64, 1, 1, seconds=0.5, repeats=3, timeout=5.0, processor=0)


def result(name: str, middle: int, *, server: float | None = 0.02) -> Result:
    """Return three rounds of latencies around `middle` ns, the last one slightly slower."""
    rounds = []
    for slower in (1.0, 1.0, 1.1):
        latencies = Histogram()
        for number in range(1000):
            latencies.record(int(middle * slower * (1 + number / 1000)))
        latencies.record(middle * 10)
        latencies.record(middle * 40)
        rounds.append(Round(latencies, middle * slower / 1e7, middle / 1e8, server))
    return Result(name, 4242, rounds)


def comparison() -> Report:
    results = [
        result("stream", 13_000),
        result("datagram", 15_500),
        result("seqpacket", 12_800),
        result("tcp", 19_100),
        result("udp", 17_700, server=0.0),
        result("pipe", 9_870, server=None),
    ]
    return Report("local sockets, loopback and pipes", results, PLAN)


def target() -> Report:
    return Report("/run/localechod/stream.sock", [result("stream", 58_000)], PLAN)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(("name", "report"), [("compare", comparison()), ("target", target())])
def test_the_page_equals_the_golden_file(name: str, report: Report, width: int) -> None:
    page = report.as_text(width)
    assert max(map(len, page.splitlines())) <= width
    compare(f"bench-{name}-{width}", page + "\n")


def test_json_has_all_figures_of_the_page() -> None:
    report = json.loads(json.dumps(comparison().as_json()))
    assert report["title"] == "local sockets, loopback and pipes"
    assert report["plan"]["size"] == 64
    assert report["latency_relative_error"] < 0.01
    first, *others = report["results"]
    assert [row["name"] for row in others] == ["datagram", "seqpacket", "tcp", "udp", "pipe"]
    assert first["ratio"] is None
    assert 0.6 < others[2]["ratio"]["median"] < 0.8
    assert first["replies"] == 3006
    assert first["server_pid"] == 4242
    assert set(first["latency_us"]) == {"p50", "p90", "p99", "p99.9", "max"}
    assert first["latency_us"]["max"] == 520
    assert first["cpu_us_per_message"]["server"] == pytest.approx(0.06e6 / 3006)
    assert [row["cpu_us_per_message"]["server"] for row in others[3:]] == [None, None]


def test_the_picture_names_the_servers_and_the_load() -> None:
    root = ET.fromstring(comparison().as_svg())  # noqa: S314 - our own
    texts = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "tcp" in texts
    assert any(text.startswith("local sockets, loopback and pipes: 64 bytes") for text in texts)
    assert sum("replies/s" in text for text in texts) == 6


def test_a_failed_server_is_left_out() -> None:
    report = comparison()
    report.results[1].failure = LocalechodError("it failed")
    assert "datagram" not in report.without_failures().as_text(80)
