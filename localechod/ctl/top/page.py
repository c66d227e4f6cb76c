"""A frame as lines of text, for any size of terminal; nothing here does I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from localechod.ctl.render import width as columns_of
from localechod.ctl.top.model import SORTS, EndpointRates, Frame, SocketQueue
from localechod.explain.processes import HoldingProcess
from localechod.text import printable

HELP = "q quit  s sort  / filter  a all sockets  arrows scroll"
_ENDPOINTS = ("ENDPOINT", "TYPE", "STATE", "CONN", "MSG/S", "IN/S", "OUT/S", "ERR/S", "NEW ERRORS")
_SOCKETS = ("QUEUE", "LIMIT", "CHANGE", "TYPE", "PROCESS", "NAME")
_NUMBERS = {"CONN", "MSG/S", "IN/S", "OUT/S", "ERR/S", "QUEUE", "LIMIT", "CHANGE"}
_LONGEST_PROCESS = 24
_MOVES = {"UP": -1, "DOWN": 1, "PAGEUP": -10, "PAGEDOWN": 10}

Holders = Mapping[int, Sequence[HoldingProcess]]


@dataclass(frozen=True, slots=True)
class View:
    """What the user has chosen.

    Attributes:
        editing: keys change the filter.
        every: also sockets with an empty queue.
        first: the first socket that is shown.
    """

    sort: str = SORTS[0]
    filter: str = ""
    editing: bool = False
    every: bool = False
    first: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, no wider than the screen.

    Attributes:
        style: "", "bold", "dim", or "bad" for what needs attention.
    """

    text: str
    style: str = ""


def pressed(view: View, key: str) -> View | None:
    """Return the view after a key; None to quit.

    Args:
        view: the view before it.
        key: a character, or the name of a key: UP, DOWN, PAGEUP, PAGEDOWN, BACKSPACE.
    """
    if view.editing:
        return _edited(view, key)
    if key in _MOVES:
        return replace(view, first=max(0, view.first + _MOVES[key]))
    following = SORTS[(SORTS.index(view.sort) + 1) % len(SORTS)]
    meanings = {
        "q": None,
        "s": replace(view, sort=following, first=0),
        "a": replace(view, every=not view.every, first=0),
        "/": replace(view, editing=True),
        "\x1b": replace(view, filter="", first=0),
    }
    return meanings.get(key, view)


def _edited(view: View, key: str) -> View:
    if key in {"\n", "\r"}:
        return replace(view, editing=False)
    if key == "\x1b":
        return replace(view, editing=False, filter="", first=0)
    if key in {"BACKSPACE", "\x7f", "\b"}:
        return replace(view, filter=view.filter[:-1], first=0)
    if len(key) == 1 and key.isprintable():
        return replace(view, filter=view.filter + key, first=0)
    return view


def visible(found: Frame, view: View, height: int | None) -> list[SocketQueue]:
    """Return the sockets that have a line.

    Args:
        found: the frame, with its rows chosen.
        view: what the user has chosen.
        height: lines of the screen; None for no limit.
    """
    if height is None:
        return found.sockets
    room = max(1, height - 5 - _endpoint_lines(found, height))
    first = min(view.first, max(0, len(found.sockets) - room))
    return found.sockets[first : first + room]


def lines(
    found: Frame, view: View, holders: Holders, size: tuple[int, int] | None = None
) -> list[Line]:
    """Return the lines of a frame.

    Args:
        found: the frame, with its rows chosen.
        view: what the user has chosen.
        holders: the processes of the sockets that are visible.
        size: lines and columns of the screen; None for all rows in full, without a help line.
    """
    height, width = size or (None, None)
    seconds = "first sample" if found.seconds is None else f"over {found.seconds:.1f} s"
    shown = visible(found, view, height)
    title = f"localechoctl top, {seconds}, by {view.sort}"
    title += f", filter: {printable(view.filter)}" if view.filter or view.editing else ""
    title += "_" if view.editing else ""
    result = [Line(title, "bold")]
    about = found.daemon or printable(found.problem)
    result.append(Line(about, "" if found.daemon else "bad"))
    if found.endpoints:
        rows = found.endpoints[: _endpoint_lines(found, height) - 2]
        bad = [bool(each.new_errors) or each.state != "listening" for each in rows]
        result += [Line(""), *_table(_ENDPOINTS, [_endpoint(each) for each in rows], bad)]
    result.append(Line(""))
    many = len(found.sockets)
    if not many:
        noun = "socket" if view.every else "socket with a queue"
        result.append(Line(f"no {noun}{' matches' if view.filter else ''}", "dim"))
    else:
        table = [_socket(each, holders.get(each.inode, ())) for each in shown]
        result += _table(_SOCKETS, table, [_is_bad(each) for each in shown])
    if height is None or width is None:
        return result
    result = result[: height - 1]
    result += [Line("")] * (height - 1 - len(result))
    position = f"  ({len(shown)} of {many} sockets)"
    result.append(Line(HELP + position, "dim"))
    return [replace(each, text=cut(each.text, width - 1)) for each in result]


def _endpoint_lines(found: Frame, height: int | None) -> int:
    """Return how many lines the endpoints take, with the empty line and the header."""
    if not found.endpoints:
        return 0
    most = len(found.endpoints) if height is None else max(1, (height - 7) // 2)
    return 2 + min(len(found.endpoints), most)


def _table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], bad: Sequence[bool]
) -> list[Line]:
    widths = [max(map(columns_of, column)) for column in zip(headers, *rows, strict=True)]
    texts = []
    for row in (headers, *rows):
        cells = []
        for header, cell, columns in zip(headers, row, widths, strict=True):
            blank = " " * (columns - columns_of(cell))
            cells.append(blank + cell if header in _NUMBERS else cell + blank)
        texts.append("  ".join(cells).rstrip())
    styles = ["bold", *("bad" if each else "" for each in bad)]
    return [Line(text, style) for text, style in zip(texts, styles, strict=True)]


def _endpoint(each: EndpointRates) -> list[str]:
    reasons = ", ".join(f"{reason} {count}" for reason, count in each.new_errors.items())
    rates = (each.messages, each.received, each.sent, each.errors)
    return [
        printable(each.name),
        each.type,
        each.state,
        str(each.connections),
        *map(_rate, rates),
        printable(reasons),
    ]


def _socket(each: SocketQueue, holders: Sequence[HoldingProcess]) -> list[str]:
    process = "unknown"
    if holders:
        # systemd keeps the sockets of services that it starts: the service says more.
        main = max(holders, key=lambda holder: (holder.pid != 1, -holder.pid))
        others = f" +{len(holders) - 1}" if len(holders) > 1 else ""
        process = cut(f"{main.command or 'unknown'} ({main.pid}){others}", _LONGEST_PROCESS)
    change = "" if not each.change else f"{each.change:+d}"
    limit = "" if each.limit is None else str(each.limit)
    return [str(each.queue), limit, change, each.type, process, each.name or "-"]


def _is_bad(each: SocketQueue) -> bool:
    """Whether a listener is full: its next client waits, or is refused."""
    return each.limit is not None and each.queue > each.limit


def _rate(value: float | None) -> str:
    if value is None:
        return "-"
    for unit in ("", "k", "M", "G"):
        if value < 9999.5 or unit == "G":
            return f"{value:.0f}{unit}" if value >= 10 or not value else f"{value:.1f}{unit}"
        value /= 1000
    raise AssertionError(value)


def cut(text: str, width: int) -> str:
    """Return the beginning of a text that is no wider than so many columns."""
    if columns_of(text) <= width:
        return text
    kept = text[:width]
    while columns_of(kept) > max(0, width - 1):
        kept = kept[:-1]
    return kept + "…" if width > 0 else ""
