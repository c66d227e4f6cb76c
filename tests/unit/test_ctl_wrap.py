"""Filling paragraphs: by words, and by characters where there are no spaces."""

import pytest

from localechod.ctl.render import width
from localechod.ctl.wrap import fill

CHINESE = "内核由路径找到套接字，再比较两者的类型（见 unix(7)），不同就返回 EPROTOTYPE。"  # noqa: RUF001 - Chinese has these


def test_english_is_cut_at_spaces() -> None:
    assert fill("one two three four", 9) == ["one two", "three", "four"]


def test_a_word_that_does_not_fit_stays_whole() -> None:
    assert fill("a /a/very/long/path b", 8) == ["a", "/a/very/long/path", "b"]


def test_nothing_is_one_empty_line() -> None:
    assert fill("", 10) == [""]


@pytest.mark.parametrize("columns", range(12, 80))
def test_chinese_is_cut_anywhere_but_not_before_a_comma(columns: int) -> None:
    lines = fill(CHINESE, columns)
    assert "".join(lines).replace(" ", "") == CHINESE.replace(" ", "")
    assert max(map(width, lines)) <= columns
    assert not any(line[0] in "，。）" for line in lines)  # noqa: RUF001 - these are meant
    assert not any(line.endswith("（") for line in lines)  # noqa: RUF001 - this one too
    # Words in Latin letters stay whole.
    assert any("EPROTOTYPE" in line for line in lines)


def test_a_wide_character_takes_two_columns() -> None:
    assert fill("中文字符", 4) == ["中文", "字符"]
    assert fill("中文字符", 5) == ["中文", "字符"]
