"""The lab's texts are complete in both languages, and the generated pages are current."""

import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from localechod.lab.catalog import LANGUAGES, Catalog, Text, Words, language
from localechod.lab.registry import EXPERIMENTS

ROOT = Path(__file__).parents[2]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.mark.parametrize("language_", LANGUAGES)
def test_every_experiment_has_every_text(language_: str) -> None:
    found = Catalog.load(language_)
    assert set(found.experiments) == {each.name for each in EXPERIMENTS}
    for text in found.experiments.values():
        assert all(getattr(text, field.name).strip() for field in fields(Text))
    assert all(getattr(found.words, field.name).strip() for field in fields(Words))


def test_each_text_is_in_its_language() -> None:
    for name, chinese in Catalog.load("zh").experiments.items():
        english = Catalog.load("en").experiments[name]
        for field in ("section", "claim", "why"):
            assert CHINESE.search(getattr(chinese, field)), (name, field)
            assert not CHINESE.search(getattr(english, field)), (name, field)
        assert chinese.title in {"RPC", "X Window"} or CHINESE.search(chinese.title)


def test_the_placeholders_are_the_same_in_both_languages() -> None:
    for field in fields(Words):
        places = [
            sorted(re.findall(r"\{\w*\}", getattr(Catalog.load(each).words, field.name)))
            for each in LANGUAGES
        ]
        assert places[0] == places[1], field.name


@pytest.mark.parametrize("language_", LANGUAGES)
def test_both_languages_name_the_same_errno(language_: str) -> None:
    other = Catalog.load("zh" if language_ == "en" else "en").experiments
    for name, text in Catalog.load(language_).experiments.items():
        for errno in re.findall(r"\bE[A-Z]{4,}\b", text.why):
            assert errno in other[name].why, (name, errno)


def test_every_reason_for_skipping_has_a_text() -> None:
    named = set()
    for path in (ROOT / "localechod" / "lab").glob("*.py"):
        named |= set(re.findall(r'SkippedError\("(\w+)"\)', path.read_text()))
    assert named == {"root", "nobody", "unclear"}
    assert named <= {field.name for field in fields(Words)}


def test_a_missing_text_is_an_error() -> None:
    with pytest.raises(TypeError):
        Text(**tomllib.loads('title = "x"\nplace = "y"'))


@pytest.mark.parametrize(
    ("environ", "chosen"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh"}, "zh"),
        ({"LANG": "zh.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zhx_XX"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_TW.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
    ],
)
def test_the_language_is_that_of_the_locale(environ: dict[str, str], chosen: str) -> None:
    assert language(environ) == chosen


def test_the_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "generate_lab_pages.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["lab.md", "lab.zh.md"])
def test_the_pages_have_a_row_for_each_claim(name: str) -> None:
    lines = (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| `")]
    assert [row[0].strip("| `") for row in rows] == [each.name for each in EXPERIMENTS]
    assert {len(row) for row in rows} == {4}
