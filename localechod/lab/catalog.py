"""The lab's texts in English and in Chinese: a file for each language, with the same keys."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Self

LANGUAGES = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Words:
    """The labels and sentences around the experiments; {...} is replaced."""

    section: str
    claim: str
    observed: str
    why: str
    verdict: str
    holds: str
    fails: str
    judged: str
    unmeasured: str
    skipped: str
    root: str
    nobody: str
    unclear: str
    surprise: str
    summary: str
    summary_fails: str
    summary_skipped: str
    summary_surprises: str
    lab: str
    separator: str
    page_title: str
    page_intro: str
    page_headers: str
    page_yes: str
    page_no: str
    page_judged: str


@dataclass(frozen=True, slots=True)
class Text:
    """The texts of one experiment.

    Attributes:
        title: a few words.
        section: the part of the tutorial that makes the claim.
        claim: the claim, paraphrased.
        why: the explanation of the result.
    """

    title: str
    section: str
    claim: str
    why: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """All texts in one language; those of the experiments by name."""

    words: Words
    experiments: dict[str, Text]

    @classmethod
    @cache
    def load(cls, language: str) -> Self:
        """Read the texts of "en" or "zh".

        Raises:
            TypeError: a text is missing or unknown, which a test excludes.
        """
        file = resources.files("localechod.lab") / "texts" / f"{language}.toml"
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
        words = Words(**tables.pop("words"))
        return cls(words, {name: Text(**table) for name, table in tables.items()})


def language(environ: Mapping[str, str]) -> str:
    """Return "zh" or "en", by LC_ALL, LC_MESSAGES and LANG in this order, as in locale(7)."""
    names = (environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    chosen = next(filter(None, names), "")
    return "zh" if chosen.partition("_")[0].partition(".")[0] == "zh" else "en"
