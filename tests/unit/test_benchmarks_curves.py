"""Lines on logarithmic axes: inside the picture, with names that do not overlap."""

from itertools import pairwise
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.curves import Line, Panel, picture
from localechod.bench.quartiles import Quartiles

SVG = "{http://www.w3.org/2000/svg}"
COUNTS = (1, 10, 100, 1000, 10_000)
QUARTILES = st.lists(st.floats(0.01, 1e7), min_size=3, max_size=3).map(
    lambda values: Quartiles(*sorted(values))
)


def _line(name: str, *quartiles: Quartiles) -> Line:
    return Line(name, "first", list(zip(COUNTS, quartiles, strict=False)))


LINES = st.lists(st.lists(QUARTILES, min_size=5, max_size=5), min_size=1, max_size=3).map(
    lambda several: [_line(f"line {place}", *each) for place, each in enumerate(several)]
)


def drawn(*panels: list[Line]) -> ET.Element:
    made = picture("title", "things", [Panel(f"panel {p}", each) for p, each in enumerate(panels)])
    return ET.fromstring(made)  # noqa: S314 - our own


@given(LINES, LINES)
def test_everything_is_inside_the_picture(above: list[Line], below: list[Line]) -> None:
    root = drawn(above, below)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert width == 800
    assert len(root.findall(f"{SVG}circle")) == 5 * len(above + below)
    for circle in root.iter(f"{SVG}circle"):
        assert 0 < float(circle.attrib["cx"]) < width
        assert 0 < float(circle.attrib["cy"]) < height
    for text in root.iter(f"{SVG}text"):
        assert 0 < float(text.attrib["y"]) < height


@given(LINES)
def test_names_do_not_overlap(lines: list[Line]) -> None:
    names = [text for text in drawn(lines).iter(f"{SVG}text") if "line" in (text.text or "")]
    places = sorted(float(name.attrib["y"]) for name in names)
    assert len(places) == len(lines)
    assert all(after - before >= 13.8 for before, after in pairwise(places))


def test_each_decade_has_the_same_height() -> None:
    quartiles = [Quartiles(value, value, value) for value in (1.0, 10.0, 100.0, 1000.0, 10_000.0)]
    circles = drawn([_line("x", *quartiles)]).findall(f"{SVG}circle")
    steps = [
        float(one.attrib["cy"]) - float(other.attrib["cy"]) for one, other in pairwise(circles)
    ]
    assert max(steps) - min(steps) < 0.3
    assert steps[0] > 10
