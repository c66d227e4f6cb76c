"""localechoctl metrics: the counters as OpenMetrics text.

It is rendered here and not by prometheus_client, which brings a registry and an HTTP server; the
format needs three characters escaped and no more. The client renders it, so that scraping costs the
daemon one Status call.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from localechod.ctl.session import client

if TYPE_CHECKING:
    from localechod.control.messages import StatusReport

    Samples = Callable[[StatusReport], Iterable["Sample"]]

STATES = ("stopped", "starting", "listening", "degraded", "failed")


@dataclass(frozen=True, slots=True)
class Sample:
    """One value with its labels."""

    value: float
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family; its name is without the suffix that its type adds to the samples.

    Attributes:
        unit: the unit that ends the name, or "".
    """

    name: str
    type: str
    unit: str
    help: str
    samples: "Samples"


def metrics(ctx: typer.Context) -> None:
    """Print every counter as OpenMetrics text.

    Example:
        localechoctl metrics | grep _errors_total
    """
    sys.stdout.write(as_openmetrics(client(ctx.obj).status()))


def as_openmetrics(report: "StatusReport") -> str:
    """Return the exposition, ending in "# EOF" (OpenMetrics 1.0, text format)."""
    lines = [line for family in FAMILIES for line in _family(family, report)]
    return "\n".join([*lines, "# EOF", ""])


def _family(family: Family, report: "StatusReport") -> Iterator[str]:
    yield f"# TYPE {family.name} {family.type}"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}"
    yield f"# HELP {family.name} {family.help}"
    suffix = "_total" if family.type == "counter" else ""
    for sample in family.samples(report):
        pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in sample.labels.items())
        labels = f"{{{pairs}}}" if pairs else ""
        yield f"{family.name}{suffix}{labels} {sample.value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _of(field: str) -> "Samples":
    return lambda report: [
        Sample(getattr(row, field), {"endpoint": row.name, "type": row.type})
        for row in report.endpoints
    ]


def _about(report: "StatusReport") -> list[Sample]:
    return [Sample(1, {"version": report.daemon.version})]


def _uptime(report: "StatusReport") -> list[Sample]:
    return [Sample(report.daemon.uptime_seconds, {})]


def _states(report: "StatusReport") -> list[Sample]:
    return [
        Sample(int(row.state == state), {"endpoint": row.name, "type": row.type, "state": state})
        for row in report.endpoints
        for state in STATES
    ]


def _errors(report: "StatusReport") -> list[Sample]:
    return [
        Sample(count, {"endpoint": row.name, "type": row.type, "reason": reason})
        for row in report.endpoints
        for reason, count in row.errors.items()
    ]


def _faults(report: "StatusReport") -> list[Sample]:
    return [
        Sample(count, {"endpoint": row.name, "type": row.type, "fault": fault})
        for row in report.endpoints
        for fault, count in row.faults_total.items()
    ]


def _control_errors(report: "StatusReport") -> list[Sample]:
    return [Sample(count, {"reason": reason}) for reason, count in report.control.errors.items()]


# Information and state are gauges, as in nearly every exporter. OpenMetrics has types for both, but
# readers of the older Prometheus format refuse the whole text because of them.
FAMILIES = (
    Family("localechod_info", "gauge", "", "The running daemon; always 1.", _about),
    Family(
        "localechod_uptime_seconds",
        "gauge",
        "seconds",
        "Seconds since the service started.",
        _uptime,
    ),
    Family(
        "localechod_endpoint_state", "gauge", "", "1 for the current state, 0 for others.", _states
    ),
    Family("localechod_connections", "gauge", "", "Peers connected now.", _of("connections")),
    Family("localechod_accepted", "counter", "", "Connections accepted.", _of("accepted_total")),
    Family("localechod_messages", "counter", "", "Messages answered.", _of("messages_total")),
    Family(
        "localechod_received_bytes",
        "counter",
        "bytes",
        "Bytes received.",
        _of("received_bytes_total"),
    ),
    Family("localechod_sent_bytes", "counter", "bytes", "Bytes sent.", _of("sent_bytes_total")),
    Family("localechod_errors", "counter", "", "Errors by reason.", _errors),
    Family(
        "localechod_faults",
        "counter",
        "",
        "Faults done on purpose, by their key in the configuration.",
        _faults,
    ),
    Family(
        "localechod_log_lines_left_out",
        "counter",
        "",
        "Log lines that peers have caused and that were not written.",
        lambda report: [Sample(report.daemon.log_lines_left_out_total, {})],
    ),
    Family(
        "localechod_control_connections",
        "gauge",
        "",
        "Connections to the control socket now.",
        lambda report: [Sample(report.control.connections, {})],
    ),
    Family(
        "localechod_control_errors",
        "counter",
        "",
        "Errors of the control socket by reason.",
        _control_errors,
    ),
    Family("localechod_restarts", "counter", "", "Starts after the first.", _of("restarts_total")),
)
