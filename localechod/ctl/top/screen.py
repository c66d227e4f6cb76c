"""The terminal of `top`: curses (Python's standard library), loaded for nothing else.

curses switches to the alternate screen, reads keys, follows a change of size, and puts the terminal
back. It writes only what `page` returns, which is escaped.
"""

import curses
import locale
import os
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn

from localechod.ctl.top import page
from localechod.ctl.top.model import Frame
from localechod.ctl.top.page import View
from localechod.ctl.top.sampling import Sampler
from localechod.errors import UsageError
from localechod.text import escape

_KEYS = {
    curses.KEY_UP: "UP",
    curses.KEY_DOWN: "DOWN",
    curses.KEY_PPAGE: "PAGEUP",
    curses.KEY_NPAGE: "PAGEDOWN",
    curses.KEY_BACKSPACE: "BACKSPACE",
    curses.KEY_ENTER: "\n",
}
_ESCAPE_MILLISECONDS = 25  # how long the rest of an arrow key's sequence may take


def run(sampler: Sampler, interval: float, terminal: str) -> None:
    """Show frames until the user quits.

    Args:
        sampler: takes the samples.
        interval: seconds between two samples.
        terminal: the value of TERM, for an error.

    Raises:
        UsageError: curses knows no such terminal.
        SystemExit: SIGTERM ended it, and the terminal is as before; or SIGHUP, as the terminal is
            gone.
        LocalechodError: the kernel's list of sockets could not be read.
    """
    locale.setlocale(locale.LC_ALL, "")
    try:
        curses.setupterm()
    except curses.error:
        cause = f"unknown terminal: TERM={escape(terminal)}"
        raise UsageError(cause, "set TERM, or use --once") from None
    for number in (signal.SIGTERM, signal.SIGHUP):  # also where a parent has ignored it
        signal.signal(number, _end)
    for name in ("LINES", "COLUMNS"):
        os.environ.pop(name, None)  # curses prefers them to the terminal's size, which may change
    curses.set_escdelay(_ESCAPE_MILLISECONDS)
    curses.wrapper(_Screen(sampler, interval).show)


def _end(number: int, _frame: Any) -> NoReturn:
    raise SystemExit(128 + number)


class _Screen:
    def __init__(self, sampler: Sampler, interval: float) -> None:
        self._sampler = sampler
        self._interval = interval
        self._styles: dict[str, int] = {"": curses.A_NORMAL, "bold": curses.A_BOLD}

    def show(self, window: "curses.window") -> None:
        """Take samples and draw, until a key says to quit."""
        self._prepare()
        view, due = View(), time.monotonic() + self._interval
        found = self._sampler.frame()
        while True:
            self._draw(window, found, view)
            key = _key(window, due - time.monotonic())
            if key is None and time.monotonic() >= due:
                found, due = self._sampler.frame(), time.monotonic() + self._interval
            elif key is not None:
                changed = page.pressed(view, key)
                if changed is None:
                    return
                view = changed

    def _prepare(self) -> None:
        _ignoring_errors(lambda: curses.curs_set(0))
        self._styles["dim"] = curses.A_DIM
        self._styles["bad"] = curses.A_BOLD
        if curses.has_colors() and not os.environ.get("NO_COLOR"):
            curses.use_default_colors()
            curses.init_pair(1, curses.COLOR_RED, -1)
            self._styles["bad"] = curses.color_pair(1)

    def _draw(self, window: "curses.window", found: Frame, view: View) -> None:
        size = window.getmaxyx()
        chosen = found.chosen(view.sort, view.filter, every=view.every)
        holders = self._sampler.holders(page.visible(chosen, view, size[0]))
        window.erase()
        for row, line in enumerate(page.lines(chosen, view, holders, size)):
            # The terminal may have become smaller since its size was read.
            _ignoring_errors(
                lambda row=row, line=line: window.addstr(  # type: ignore[misc]
                    row, 0, line.text, self._styles[line.style]
                )
            )
        # All of it: a terminal moves its lines when its size changes, and others may write to it.
        window.redrawwin()
        window.refresh()


def _key(window: "curses.window", seconds: float) -> str | None:
    """Return a key; None after so many seconds, after a change of size, or for no known key."""
    window.timeout(max(0, round(seconds * 1000)))
    try:
        key = window.get_wch()
    except curses.error:
        return None
    return key if isinstance(key, str) else _KEYS.get(key)


def _ignoring_errors(action: Callable[[], Any]) -> None:
    try:
        action()
    except curses.error:
        return
