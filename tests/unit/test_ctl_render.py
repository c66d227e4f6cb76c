"""Tables, colours and JSON: aligned, complete, and harmless to a terminal."""

import json
import os
import sys

import pytest

from localechod.ctl import render


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let standard output say that it is a terminal which shows colours."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_columns_are_aligned_and_lines_have_no_trailing_blanks() -> None:
    assert render.table(
        ["NAME", "STATE", "PATH"], [["a", "listening", "/x"], ["long", "", ""]]
    ) == ("NAME  STATE      PATH\na     listening  /x\nlong")


def test_a_table_without_rows_is_its_headers() -> None:
    assert render.table(["NAME", "STATE"], []) == "NAME  STATE"


def test_a_long_cell_is_never_cut_off() -> None:
    path = "/run/" + "x" * 300
    assert path in render.table(["PATH", "N"], [[path, "1"]])


def test_cells_are_escaped() -> None:
    shown = render.table(["N"], [["a\x1b[31m\nb\x00"]])
    assert shown == "N\na\\x1b[31m\\nb\\x00"


def test_wide_and_combining_characters_keep_columns_aligned() -> None:
    lines = render.table(
        ["N", "S"], [["套接字", "x"], ["e\u0301", "y"], ["abcdef", "z"]]
    ).splitlines()
    assert lines[1] == "套接字  x"
    assert lines[2] == "e\u0301       y"
    assert lines[3] == "abcdef  z"


def test_colours_are_for_terminals() -> None:
    assert render.colour("failed", "red") == "failed"


def test_a_terminal_sees_colours_and_they_take_no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    painted = render.colour("up", "green")
    assert painted == "\033[32mup\033[0m"
    assert render.table(["S", "P"], [[painted, "/x"], ["down", "/y"]]).splitlines()[1] == (
        "\033[32mup\033[0m    /x"
    )


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colours_sees_none(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    on_a_terminal(monkeypatch)
    monkeypatch.setenv(name, value)
    assert render.colour("up", "green") == "up"


def test_coloured_text_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    assert render.colour("\x1b]0;owned\x07", "red") == "\033[31m\\x1b]0;owned\\x07\033[0m"


def test_json_is_ascii_and_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"path": "/run/\x1b\x9b套", "n": 1, "broken": os.fsdecode(b"\xff"), "none": None}
    render.emit_json(value)
    text = capsys.readouterr().out
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text) == value


def test_text_ends_with_a_newline(capsys: pytest.CaptureFixture[str]) -> None:
    render.emit("a\nb")
    assert capsys.readouterr().out == "a\nb\n"


def test_a_name_is_escaped_once_and_abstract_and_relative_ones_differ() -> None:
    names = [b"\0a\\", b"@a\\", b"/a\n"]
    shown = render.table(["NAME"], [[render.name(name)] for name in names]).splitlines()
    assert shown == ["NAME", r"@a\\", r"\x40a\\", r"/a\n"]
