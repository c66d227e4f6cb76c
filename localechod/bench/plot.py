"""A plot of latencies in ASCII characters, for any terminal."""

from collections.abc import Mapping, Sequence

from localechod.bench.figures import Axis, duration

_MARKS = "=-."
"""The characters from p50 to p90, from p90 to p99, and from p99 to p99.9."""

LEGEND = "p50 = p90 - p99 . p99.9, * max"


def plot(rows: Mapping[str, Sequence[int]], width: int) -> list[str]:
    """Return lines that show, for each name, its latencies on a common logarithmic axis.

    Args:
        rows: for each name its percentiles as `figures.percentiles` returns them, in ns.
        width: the most columns of a line.
    """
    axis = Axis([max(1, value) for values in rows.values() for value in values])
    margin = max(map(len, rows)) + 2
    columns = width - margin - 1

    def column(value: float) -> int:
        return round(axis.position(max(1.0, value)) * columns)

    lines = [" " * margin + _labels([(column(each), duration(each)) for each in axis.decades()])]
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
    """Write each label from its column on; the last one ends at its column, to keep the width."""
    line = ""
    for at, text in wanted[:-1]:
        if at >= len(line):
            line = line.ljust(at) + text + " "
    at, text = wanted[-1]
    start = at + 1 - len(text)
    return line.rstrip() if start < len(line) else line.ljust(start) + text
