"""What the tap prints of bytes that anybody may have chosen."""

import pytest

from localechod.tap.display import Display, Style

Capture = pytest.CaptureFixture[str]


def shown(capfd: Capture, style: Style, data: bytes, note: str = "") -> list[str]:
    Display(style).data(1, ">", data, note)
    return capfd.readouterr().err.splitlines()


def test_escape_sequences_do_not_reach_the_terminal(capfd: Capture) -> None:
    for style in Style:
        said = "".join(shown(capfd, style, b"\x1b]0;title\x07\r\n\x9b2J"))
        assert said.isprintable()


def test_a_long_piece_is_cut_to_the_width(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    (line,) = shown(capfd, Style.SHORT, b"x" * 1000)
    assert line.startswith("#1 > 1000 bytes: xxx")
    assert line.endswith("...")
    assert len(line) == 60


def test_lines_are_whole(capfd: Capture) -> None:
    assert shown(capfd, Style.LINES, b"one\r\ntwo\nthree") == [
        "#1 > one", "#1 > two", "#1 > three"
    ]  # fmt: skip


def test_hex_digits(capfd: Capture) -> None:
    assert shown(capfd, Style.HEX, b"0123456789abcdef\n", " with 1 descriptor") == [
        "#1 > 17 bytes with 1 descriptor",
        "  00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef",
        "  00000010  0a                                               .",
    ]


def test_quiet_shows_no_bytes(capfd: Capture) -> None:
    assert shown(capfd, Style.QUIET, b"secret") == []
