"""A plot of latencies in plain characters, for any terminal."""

from collections.abc import Mapping, Sequence

from localechod.bench.figures import Axis, span

_MARKS = "=-."
"""What fills p50 to p90, p90 to p99, p99 to p99.9."""

LEGEND = "p50 = p90 - p99 . p99.9, * max"


def plot(rows: Mapping[str, Sequence[int]], width: int) -> list[str]:
    """Return lines that show, for each name, its latencies on a common logarithmic axis.

    Args:
        rows: for each name its percentiles as `figures.percentiles` returns them, in ns.
        width: columns of a line at most.
    """
    axis = Axis([max(1, value) for values in rows.values() for value in values])
    margin = max(map(len, rows)) + 2
    columns = width - margin - 1

    def column(value: float) -> int:
        return round(axis.place(max(1.0, value)) * columns)

    lines = [" " * margin + _labels([(column(each), span(each)) for each in axis.decades()])]
    lines.append(
        " " * margin
        + "".join("|" if at in map(column, axis.decades()) else " " for at in range(columns + 1))
    )
    for name, values in rows.items():
        cells = [" "] * (columns + 1)
        for mark, start, end in zip(_MARKS, values, values[1:], strict=False):
            for at in range(column(start), column(end) + 1):
                cells[at] = mark if cells[at] == " " else cells[at]
        cells[column(values[-1])] = "*"
        lines.append(name.ljust(margin) + "".join(cells).rstrip())
    return lines


def _labels(wanted: Sequence[tuple[int, str]]) -> str:
    """Write each label at its column; the last one ends there, so that the line is not longer."""
    line = ""
    for at, text in wanted[:-1]:
        if at >= len(line):
            line = line.ljust(at) + text + " "
    at, text = wanted[-1]
    start = at + 1 - len(text)
    return line.rstrip() if start < len(line) else line.ljust(start) + text
