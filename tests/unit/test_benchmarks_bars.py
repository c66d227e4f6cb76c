"""Bars with whiskers: as long as their medians, and inside the picture."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bars import Bar, Group, picture
from localechod.bench.quartiles import Quartiles

SVG = "{http://www.w3.org/2000/svg}"
QUARTILES = st.lists(st.floats(0.001, 30), min_size=3, max_size=3).map(
    lambda values: Quartiles(*sorted(values))
)
GROUPS = st.lists(
    st.builds(
        Group,
        st.text("abc <&", max_size=30),
        st.lists(st.builds(Bar, QUARTILES, st.just("first")), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=5,
)


def drawn(groups: list[Group]) -> ET.Element:
    return ET.fromstring(picture("title", groups, [("first", "ours")], "C"))  # noqa: S314 - our own


def bars(root: ET.Element) -> list[ET.Element]:
    # The first rectangle is the background, the second is in the legend.
    return root.findall(f"{SVG}rect")[2:]


@given(GROUPS)
def test_everything_is_inside_the_picture(groups: list[Group]) -> None:
    root = drawn(groups)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert width == 800
    assert len(bars(root)) == sum(len(group.bars) for group in groups)
    for bar in bars(root):
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= width
        assert float(bar.attrib["y"]) + float(bar.attrib["height"]) < height
    for path in root.iter(f"{SVG}path"):
        points = path.attrib["d"][1:].split("L")
        assert all(0 <= float(point.split()[0]) <= width for point in points)
        assert all(0 <= float(point.split()[1]) <= height for point in points)


@pytest.mark.parametrize("size", [0.01, 1.0, 7.0, 200.0])
def test_the_length_of_a_bar_is_its_median(size: float) -> None:
    group = Group("x", [Bar(Quartiles(m, m, m), "first") for m in (size, size / 2)])
    long, short = (float(bar.attrib["width"]) for bar in bars(drawn([group])))
    assert short == pytest.approx(long / 2, abs=0.1)


def test_the_median_is_printed_beside_its_bar() -> None:
    group = Group("scenario", [Bar(Quartiles(0.5, 0.812, 0.9), "first")])
    words = [text.text for text in drawn([group]).iter(f"{SVG}text")]
    assert {"0.81", "scenario", "title", "ours", "C"} <= {*words}
