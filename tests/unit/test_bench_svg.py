"""The picture is well-formed for any names, and everything is inside it."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from localechod.bench.svg import picture

ROWS = st.dictionaries(
    st.sampled_from(["stream", "a<b>&c", '"quoted"']),
    st.lists(st.integers(0, 10**11), min_size=5, max_size=5).map(sorted),
    min_size=1,
)


@given(ROWS)
def test_the_picture_is_well_formed_and_everything_is_inside(rows: dict[str, list[int]]) -> None:
    root = ET.fromstring(picture(rows, "a <title> & more", dict.fromkeys(rows, "<1 & 2>")))  # noqa: S314 - our own
    width = float(root.attrib["width"])
    space = "{http://www.w3.org/2000/svg}"
    rects = root.findall(f"{space}rect")
    assert len(rects) == 1 + 3 * len(rows)
    assert len(root.findall(f"{space}circle")) == len(rows)
    for rect in rects:
        assert float(rect.attrib.get("x", 0)) + float(rect.attrib["width"]) <= width + 1
    texts = [text.text for text in root.findall(f"{space}text")]
    assert "a <title> & more" in texts
    assert set(rows) <= set(texts)
