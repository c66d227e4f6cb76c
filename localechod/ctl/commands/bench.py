"""localechoctl bench: the speed of an echo server, or of local sockets and the alternatives."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from localechod.bench import processor
from localechod.bench.channel import Channel
from localechod.bench.echo_servers import TRANSPORTS, echo_server
from localechod.bench.measurement import EchoTarget, Plan, measure
from localechod.ctl import render
from localechod.ctl.bench_report import Report
from localechod.ctl.completion import endpoint_names
from localechod.ctl.target import Framing, Target, Type, reach, resolve
from localechod.errors import LocalechodError, UsageError
from localechod.localsocket.peer import credentials
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

_LARGEST = 1 << 20
_MOST = 10_000
_LONGEST = 86400  # seconds
_NARROWEST = 60  # columns
_WIDEST = 120
_LARGEST_UDP = 65507  # 65535 less the headers of IPv4 and UDP


def bench(  # noqa: PLR0913, PLR0917 - typer makes an option of each
    ctx: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]",
            help="An endpoint's name, a path, or @NAME; without it, compare transports.",
            autocompletion=endpoint_names,
            show_default=False,
        ),
    ] = None,
    size: Annotated[int, typer.Option(metavar="BYTES", help="Message length.")] = 64,
    connections: Annotated[int, typer.Option(metavar="N", help="Number of connections.")] = 1,
    in_flight: Annotated[
        int, typer.Option(metavar="N", help="Requests in flight on each connection.")
    ] = 1,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Length of a round, in seconds.")
    ] = 0.5,
    repeats: Annotated[int, typer.Option(metavar="N", help="Number of rounds.")] = 5,
    kind: Annotated[
        Type | None,
        typer.Option("--type", help="Socket type of the target; by default, detected."),
    ] = None,
    framing: Annotated[
        Framing, typer.Option(help="How the target's stream marks the end of a message.")
    ] = "auto",
    record_size: Annotated[
        int | None,
        typer.Option(metavar="BYTES", help="Record size; by default, the target's or 4096."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time to wait for a reply.")
    ] = 5.0,
    cpu: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Processor to run on, or any; by default, any with a TARGET, else a single one.",
            show_default=False,
        ),
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the plot to FILE, as a picture.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the latency and throughput of an echo server.

    TARGET is any server that sends messages back, with or without a greeting before them. Without
    a TARGET, built-in echo servers compare local sockets with TCP and UDP on the loopback interface
    and with pipes. They and this program then share one processor: with two, a single request
    mostly measures how long the processors take to wake each other.

    Each connection keeps --in-flight requests in flight, and every reply is checked. Rates are
    medians and quartiles over the rounds, in which the servers take turns. Latencies are those of
    all rounds together.

    Examples:
        localechoctl bench
        localechoctl bench stream --connections 32 --in-flight 8
        localechoctl bench /run/other/server.sock --json >figures.json
    """
    if target is None:
        _check_count("--size", size, _LARGEST_UDP, "the most that UDP carries")
    else:
        _check_count("--size", size, _LARGEST, "1 MiB")
    _check_count("--connections", connections, _MOST)
    _check_count("--in-flight", in_flight, _MOST)
    _check_count("--repeats", repeats, _MOST)
    for name, value in (("--seconds", seconds), ("--timeout", timeout)):
        if not 0 < value <= _LONGEST:
            raise UsageError(f"{name} {value:g}: it takes more than 0 and up to {_LONGEST}")
    if target is None:
        _check_unused({"--type": kind, "--framing": framing, "--record-size": record_size})
    where = _processor(cpu, single=target is None)
    plan = Plan(size, connections, in_flight, seconds, repeats, timeout, where)
    with processor.pinned(where), ExitStack() as stack:
        # Open it now: a failure after the measurement would lose the results.
        svg_file = stack.enter_context(_opened(svg)) if svg else None
        if target is None:
            title = "local sockets, loopback and pipes"
            targets = _transports(stack, connections)
        else:
            found = resolve(target, ctx.obj).refined(kind, framing, record_size)
            title = str(found.address)
            targets = [_target(stack, found, plan)]
        with _progress((repeats + 1) * len(targets)) as tick:
            measure(targets, plan, tick)
        results = [target.result for target in targets]
        _show(Report(title, results, plan), svg_file, as_json=as_json)


def _check_count(name: str, value: int, most: int, why: str = "") -> None:
    if not 1 <= value <= most:
        limit = f"{most}, {why}" if why else str(most)
        raise UsageError(f"{name} {value}: it takes 1 to {limit}")


def _check_unused(options: Mapping[str, object]) -> None:
    """Refuse the options that would have no effect without a TARGET."""
    for name, value in options.items():
        if value not in {None, "auto"}:
            raise UsageError(f"{name} is for a TARGET", "name a TARGET, or leave it out")


def _processor(text: str | None, *, single: bool) -> int | None:
    """Return the processor to run on, or None for any.

    A TARGET runs where its administrator put it, so by default this program is not pinned either.
    """
    if text is None:
        return processor.usable()[0] if single else None
    if text == "any":
        return None
    if not text.isdecimal():
        raise UsageError(f"--cpu {escape(text)}: it takes a processor's number, or any")
    return int(text)


def _transports(stack: ExitStack, connections: int) -> list[EchoTarget]:
    # Not in TMPDIR, which may be long: a socket's path has at most 107 bytes.
    directory = Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix=f"bench-{os.getpid()}-", dir="/tmp"))
    )
    targets = []
    for transport in TRANSPORTS:
        pid, channels = stack.enter_context(echo_server(transport, connections, directory))
        targets.append(EchoTarget(transport.name, channels, pid))
    return targets


def _target(stack: ExitStack, target: Target, plan: Plan) -> EchoTarget:
    channels = []
    for _ in range(plan.connections):
        connected = stack.enter_context(reach(target, plan.timeout))
        fd = connected.sock.fileno()
        kind = TYPE_NAMES[connected.type]
        channels.append(Channel(fd, fd, str(target.address), boundaries=kind != "stream"))
    # For a datagram socket the kernel does not report which process replies.
    pid = credentials(connected.sock).pid if kind != "datagram" else None
    return EchoTarget(kind, channels, pid or None, target.framing, target.record_size)


@contextmanager
def _progress(steps: int) -> Iterator[Callable[[], object]]:
    """Show a progress bar if standard error is a terminal; yield the function that advances it."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with typer.progressbar(length=steps, label="measuring", file=sys.stderr) as bar:
        yield lambda: bar.update(1)


def _opened(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        cause = f"{error.strerror} ({error.errno}): {escape(str(path))}"
        raise LocalechodError(f"open failed: {cause}") from None


def _show(report: Report, svg_file: TextIO | None, *, as_json: bool) -> None:
    """Print the results, then raise the first failure if there was one."""
    measured = report.without_failures()
    if measured.results and svg_file:
        svg_file.write(measured.as_svg())
    if measured.results and as_json:
        render.emit_json(measured.as_json())
    elif measured.results:
        columns = shutil.get_terminal_size().columns
        render.emit(measured.as_text(min(max(columns, _NARROWEST), _WIDEST)))
    for result in report.results:
        if result.failure:
            raise result.failure
