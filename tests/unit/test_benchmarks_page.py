"""The page with the results: only the text between the marks is replaced."""

from pathlib import Path

import pytest

from benchmarks.page import replaced, table, write

PAGE = """# Title

<!-- benchmarks: one -->
old
<!-- /benchmarks -->

between

<!-- benchmarks: two -->
<!-- /benchmarks -->
end
"""


def test_only_the_text_between_the_marks_is_replaced() -> None:
    assert replaced(PAGE, {"one": r"new \1"}) == PAGE.replace("old", "\nnew \\1\n")


def test_replacing_is_idempotent() -> None:
    blocks = {"one": "a\n\nb", "two": "| c |"}
    once = replaced(PAGE, blocks)
    assert replaced(once, blocks) == once
    assert "\n\n| c |\n\n" in once


@pytest.mark.parametrize("page", ["", PAGE + PAGE, "<!-- benchmarks: one -->\n"])
def test_a_block_needs_one_pair_of_marks(page: str) -> None:
    with pytest.raises(ValueError, match="places for the block one"):
        replaced(page, {"one": "new"})


def test_nothing_is_written_if_a_block_has_no_marks(tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text(PAGE)
    with pytest.raises(SystemExit, match=r"performance.md: 0 places for the block three"):
        write(tmp_path, {"one": "new", "three": "new"}, {"plot": "<svg/>"})
    assert (tmp_path / "performance.md").read_text() == PAGE
    assert not (tmp_path / "pictures").exists()


def test_page_and_pictures_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "performance.md").write_text(PAGE)
    write(tmp_path, {"one": "new"}, {"plot": "<svg/>"})
    assert "\nnew\n" in (tmp_path / "performance.md").read_text()
    assert (tmp_path / "pictures/performance-plot.svg").read_text() == "<svg/>"
    assert "performance.md (one) pictures/performance-plot.svg" in capsys.readouterr().out


def test_a_missing_page_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"open failed: No such file or directory \(2\)"):
        write(tmp_path, {}, {})


def test_a_table_is_markdown() -> None:
    assert table(["", "a"], [["x", "1"], ["y", "2"]]) == (
        "|  | a |\n| --- | --- |\n| x | 1 |\n| y | 2 |"
    )
