"""localechoctl metrics: OpenMetrics that a strict reader accepts, with the daemon's numbers."""

import re
from pathlib import Path

import pytest

from localechod.control.messages import ControlStatus, StatusReport
from localechod.ctl import app
from localechod.ctl.commands.metrics import as_openmetrics
from tests.unit.control_fakes import about, endpoint, live

BIG = 2**64 - 1
HOSTILE = 'a"b\\c\nd'

ABOUT = about(log_lines_left_out_total=9)
CONTROL = ControlStatus(connections=2, errors={"call_limit": 7})
REPORT = StatusReport(
    ABOUT,
    CONTROL,
    [
        endpoint("stream", messages_total=BIG, errors={HOSTILE: 3}, restarts_total=1),
        endpoint("failed", "failed", type="datagram"),
    ],
)

SAMPLE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')


def unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)


def parsed(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], str]:
    """Read the text as the specification demands, and nothing more lenient."""
    *lines, end, rest = text.split("\n")
    assert (end, rest) == ("# EOF", "")
    samples = {}
    family = kind = ""
    seen = set()
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert kind in {"counter", "gauge"}
            assert family not in seen, "a family's lines stand together"
            seen.add(family)
        elif line.startswith("# UNIT "):
            assert line.split(" ")[2] == family
            assert family.endswith("_" + line.split(" ")[3])
        elif line.startswith("# HELP "):
            assert line.split(" ")[2] == family
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found["name"] == family + ("_total" if kind == "counter" else "")
            labels = found["labels"] or ""
            assert LABEL.sub("", labels) == "", labels
            pairs = [(name, unescaped(value)) for name, value in LABEL.findall(labels)]
            key = found["name"], frozenset(pairs)
            assert key not in samples, "every sample has labels of its own"
            samples[key] = found["value"]
    return samples


def value(text: str, name: str, **labels: str) -> str:
    return parsed(text)[name, frozenset(labels.items())]


def test_every_counter_of_an_endpoint_is_there_exactly() -> None:
    text = as_openmetrics(REPORT)
    stream = {"endpoint": "stream", "type": "stream"}
    assert value(text, "localechod_connections", **stream) == "2"
    assert value(text, "localechod_accepted_total", **stream) == "3"
    assert value(text, "localechod_messages_total", **stream) == str(BIG)
    assert value(text, "localechod_received_bytes_total", **stream) == "50"
    assert value(text, "localechod_sent_bytes_total", **stream) == "66"
    assert value(text, "localechod_restarts_total", **stream) == "1"
    assert value(text, "localechod_control_connections") == "2"
    assert value(text, "localechod_control_errors_total", reason="call_limit") == "7"
    assert value(text, "localechod_log_lines_left_out_total") == "9"
    assert value(text, "localechod_uptime_seconds") == "192.5"
    assert value(text, "localechod_info", version="0.1.0") == "1"


def test_an_endpoint_is_in_exactly_one_state() -> None:
    samples = parsed(as_openmetrics(REPORT))
    for name, state in (("stream", "listening"), ("failed", "failed")):
        found = [
            (dict(labels)["state"], number)
            for (metric, labels), number in samples.items()
            if metric == "localechod_endpoint_state" and ("endpoint", name) in labels
        ]
        assert [current for current, number in found if number == "1"] == [state]
        assert len(found) == 5


def test_any_label_value_survives() -> None:
    text = as_openmetrics(REPORT)
    assert (
        value(text, "localechod_errors_total", endpoint="stream", type="stream", reason=HOSTILE)
        == "3"
    )


def test_a_daemon_without_endpoints_is_still_valid() -> None:
    assert parsed(as_openmetrics(StatusReport(ABOUT, CONTROL, [])))


def test_the_command_prints_it(sockdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sockdir / "control.sock"
    with live(path):
        assert app.run(["--control", str(path), "metrics"]) == 0
    text = capsys.readouterr().out
    assert value(text, "localechod_messages_total", endpoint="stream", type="stream") == "4"
