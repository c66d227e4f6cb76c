"""The map as a still picture: units that are clients at the left, the sockets at the right.

The layout is two columns. A layout engine (graphviz) arranges a few dozen units with one socket
in common no better, and is not on every host; `dot` writes what it reads.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from localechod.bench.drawing import document, line, text
from localechod.ctl.hostmap.model import HostMap

MOST_ROWS = 80
"""Lines of a column; connections of others are counted below."""

_WIDTH, _ROW, _TOP, _MARGIN = 1000, 20, 70, 20
_LEFT, _RIGHT = 300, 620  # where the lines between the columns begin and end
_LONGEST = 42  # characters
_MOST_COUNTS = 60  # lines with their number of connections; with more, the numbers would overlap


@dataclass(slots=True)
class _Line:
    """The connections from a unit to a socket."""

    client: str
    server: str
    socket: str
    count: int = 0
    waiting: int = 0
    stuck: str = ""


@dataclass(slots=True)
class _Columns:
    """The rows: units at the left, and for each unit at the right its sockets."""

    left: dict[str, float] = field(default_factory=dict)
    right: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def have_room(self) -> bool:
        return max(len(self.left), len(self.right) + sum(map(len, self.right.values()))) < MOST_ROWS

    def add(self, each: _Line) -> None:
        if each.count:
            self.left[each.client] = 0
        sockets = self.right.setdefault(each.server, {})
        sockets[each.socket] = sockets.get(each.socket) or each.stuck


def write(found: HostMap) -> str:
    """Return an SVG document.

    What is stuck comes first, then the sockets with most connections; more than `MOST_ROWS` rows
    do not fit in a picture that a person reads.
    """
    columns, drawn, left_out = _Columns(), [], 0
    for each in sorted(_lines(found), key=_importance):
        if columns.have_room:
            columns.add(each)
            drawn.append(each)
        else:
            left_out += each.count
    rows = _rows(columns)
    _order_left(columns, drawn, rows)
    height = round(max([_TOP, *columns.left.values(), *rows.values()])) + 2 * _ROW
    title = f"Local sockets of {found.host}, {found.time}"
    more = [f"{left_out} more connections are not drawn"] if left_out else []
    notes = "; ".join(["client units to the sockets of server units", *found.notes, *more])
    parts = [text(_MARGIN, 28, title, "title"), text(_MARGIN, 48, notes, "note")]
    parts += _drawn_lines(columns, drawn, rows)
    parts += _drawn_rows(columns, rows, found.stuck_units())
    return document(_WIDTH, height, title, parts)


def _lines(found: HostMap) -> Iterable[_Line]:
    lines: dict[tuple[str, str, str], _Line] = {}
    for link in found.links:
        client, server = found.processes[link.client].group, found.processes[link.server].group
        key = client, server, link.name or "socketpair"
        each = lines.setdefault(key, _Line(*key))
        each.count += link.count
        each.waiting += link.states.get("waiting", 0)
        each.stuck = each.stuck or link.stuck
    for sock in found.sockets:
        server = found.processes[sock.processes[0]].group
        if sock.stuck and not any(key[1:] == (server, sock.name) for key in lines):
            lines["", server, sock.name] = _Line("", server, sock.name, stuck=sock.stuck)
    return lines.values()


def _importance(each: _Line) -> tuple[bool, int, str, str, str]:
    return not each.stuck, -each.count, each.server, each.socket, each.client


def _rows(columns: _Columns) -> dict[tuple[str, str], float]:
    """Return the height of each row at the right, by unit and socket; "" for the unit itself."""
    rows, y = {}, float(_TOP)
    lines = len(columns.right) + sum(map(len, columns.right.values()))
    # The shorter column is spread, so that the lines between the two are not steep.
    gap = max(0.0, len(columns.left) - lines) * _ROW / max(1, len(columns.right))
    for unit, sockets in columns.right.items():
        for name, stuck in {"": "", **sockets}.items():
            rows[unit, name] = y
            y += 2 * _ROW if stuck else _ROW  # the reason has a line of its own
        y += gap
    return rows


def _order_left(columns: _Columns, lines: list[_Line], rows: dict[tuple[str, str], float]) -> None:
    """Put each unit at the left as high as the sockets that it is connected to, on average."""
    heights: dict[str, list[float]] = {}
    for each in lines:
        heights.setdefault(each.client, []).append(rows[each.server, each.socket])
    middle = {unit: sum(some) / len(some) for unit, some in heights.items()}
    ordered = sorted(columns.left, key=lambda unit: (middle[unit], unit))
    step = max(_ROW, _ROW * len(rows) / max(1, len(ordered)))
    columns.left = {unit: _TOP + step * number for number, unit in enumerate(ordered)}


def _drawn_lines(
    columns: _Columns, lines: list[_Line], rows: dict[tuple[str, str], float]
) -> Iterable[str]:
    for each in sorted(lines, key=lambda each: bool(each.stuck)):  # what is stuck on top
        if not each.count:
            continue
        color = "alarm" if each.stuck else "second" if each.waiting == each.count else "third"
        start, end = columns.left[each.client] - 4, rows[each.server, each.socket] - 4
        yield line([(_LEFT, start), (_RIGHT, end)], color, 2.5 if each.stuck else 1.2)
        if each.count > 1 and len(lines) <= _MOST_COUNTS:
            # Near the server: lines from one unit to several sockets are apart there.
            height = end - (end - start) * 60 / (_RIGHT - _LEFT)
            yield text(_RIGHT - 60, height + 4, str(each.count), "small")


def _drawn_rows(
    columns: _Columns, rows: dict[tuple[str, str], float], stuck: set[str]
) -> Iterable[str]:
    for unit, y in columns.left.items():
        yield text(_LEFT - 8, y, _short(unit), "problem" if unit in stuck else "label", "end")
    for (unit, name), y in rows.items():
        if not name:
            yield text(_RIGHT + 8, y, _short(unit), "problem" if unit in stuck else "label")
            continue
        yield text(_RIGHT + 24, y, _short(name), "note")
        if reason := columns.right[unit][name]:
            yield text(_RIGHT + 24, y + _ROW, reason, "problem")


def _short(name: str) -> str:
    """Cut a name in its middle: the end of a path says most, and its beginning where it is."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST // 3]}…{name[-(_LONGEST * 2 // 3 - 1) :]}"
