"""Filling paragraphs: lines break between words, and between Chinese characters."""

import pytest

from localechod.ctl.render import width
from localechod.ctl.wrap import fill

CHINESE = "内核由路径找到套接字，再比较两者的类型（见 unix(7)），不同就返回 EPROTOTYPE。"  # noqa: RUF001 - Chinese punctuation


def test_english_breaks_at_spaces() -> None:
    assert fill("one two three four", 9) == ["one two", "three", "four"]


def test_a_word_longer_than_the_line_is_not_broken() -> None:
    assert fill("a /a/very/long/path b", 8) == ["a", "/a/very/long/path", "b"]


def test_an_empty_text_is_one_empty_line() -> None:
    assert fill("", 10) == [""]


@pytest.mark.parametrize("columns", range(12, 80))
def test_chinese_breaks_anywhere_but_before_closing_punctuation(columns: int) -> None:
    lines = fill(CHINESE, columns)
    assert "".join(lines).replace(" ", "") == CHINESE.replace(" ", "")
    assert max(map(width, lines)) <= columns
    assert not any(line[0] in "，。）" for line in lines)  # noqa: RUF001 - full-width punctuation is intended
    assert not any(line.endswith("（") for line in lines)  # noqa: RUF001 - as above
    # Latin words are not broken.
    assert any("EPROTOTYPE" in line for line in lines)


def test_a_wide_character_takes_two_columns() -> None:
    assert fill("中文字符", 4) == ["中文", "字符"]
    assert fill("中文字符", 5) == ["中文", "字符"]
