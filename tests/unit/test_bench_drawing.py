"""What pictures are made of: any words, both modes of a screen, nothing from elsewhere."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from localechod.bench.drawing import box, document, dot, line, text

SVG = "{http://www.w3.org/2000/svg}"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")))
def test_words_arrive_as_they_are(words: str) -> None:
    root = ET.fromstring(document(10, 10, words, [text(1, 2, words)]))  # noqa: S314 - our own
    assert (root.findtext(f"{SVG}title") or "") == words
    assert (root.findtext(f"{SVG}text") or "") == words


def test_every_colour_has_a_shade_for_the_dark() -> None:
    style = ET.fromstring(document(1, 1, "", [])).findtext(f"{SVG}style")  # noqa: S314 - our own
    assert style is not None
    light, _, dark = style.partition("@media (prefers-color-scheme:dark)")
    classes = [rule.partition("{")[0] for rule in light.split("}")]
    assert [name for name in classes if f"{name}{{" not in dark] == []
    assert light != dark.strip("{}")


def test_nothing_comes_from_elsewhere() -> None:
    parts = [text(1, 1, "a"), box(0, 0, 1, 1, "first"), dot(1, 1, "alarm"), line([(0, 0)], "grid")]
    told = document(1, 1, "a", parts).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "http" not in told
    assert "url(" not in told


def test_a_line_goes_from_point_to_point() -> None:
    assert 'd="M0 0.5L10 2.3"' in line([(0, 0.5), (10, 2.25001)], "grid")
