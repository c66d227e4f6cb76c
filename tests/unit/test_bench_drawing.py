"""The elements of pictures: any text, light and dark screens, no external references."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from localechod.bench.drawing import box, document, dot, line, text

SVG = "{http://www.w3.org/2000/svg}"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")))
def test_any_text_is_preserved(content: str) -> None:
    root = ET.fromstring(document(10, 10, content, [text(1, 2, content)]))  # noqa: S314 - our own
    assert (root.findtext(f"{SVG}title") or "") == content
    assert (root.findtext(f"{SVG}text") or "") == content


def test_every_color_has_a_dark_shade() -> None:
    style = ET.fromstring(document(1, 1, "", [])).findtext(f"{SVG}style")  # noqa: S314 - our own
    assert style is not None
    light, _, dark = style.partition("@media (prefers-color-scheme:dark)")
    classes = [rule.partition("{")[0] for rule in light.split("}")]
    assert [name for name in classes if f"{name}{{" not in dark] == []
    assert light != dark.strip("{}")


def test_nothing_refers_to_another_file() -> None:
    parts = [text(1, 1, "a"), box(0, 0, 1, 1, "first"), dot(1, 1, "alarm"), line([(0, 0)], "grid")]
    svg = document(1, 1, "a", parts).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "http" not in svg
    assert "url(" not in svg


def test_a_line_goes_from_point_to_point() -> None:
    assert 'd="M0 0.5L10 2.3"' in line([(0, 0.5), (10, 2.25001)], "grid")
