"""The pictures of the documentation: well-formed, self-contained, and equal to the output."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tools.draw_map import CONNECTIONS, HOST, NOISE, UNITS
from tools.draw_pictures import COLUMNS, SCENES, drawing

PICTURES = Path(__file__).resolve().parents[2] / "docs/pictures"
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[ET.Element]:
    return list(ET.fromstring(picture).iter(f"{SVG}text"))  # noqa: S314 - our own


@pytest.mark.parametrize("name", SCENES)
def test_a_picture_is_well_formed_and_shows_its_commands(name: str) -> None:
    picture = (PICTURES / f"{name}.svg").read_text()
    words = [text.text for text in texts(picture)]
    assert [command for command in SCENES[name] if command not in words] == []
    assert "prefers-color-scheme" in picture
    assert "http" not in picture.replace('xmlns="http://www.w3.org/2000/svg"', "")
    root = ET.fromstring(picture)  # noqa: S314 - our own
    for text in root.iter(f"{SVG}text"):
        end = float(text.attrib["x"]) + float(text.attrib["textLength"])
        assert end <= float(root.attrib["width"]), text.text
        assert float(text.attrib["y"]) < float(root.attrib["height"])


def test_the_map_shows_what_was_started_for_it_and_nothing_of_the_machine_it_was_drawn_on() -> None:
    root = ET.parse(PICTURES / "map.svg").getroot()  # noqa: S314 - our own
    words = [text.text or "" for text in root.iter(f"{SVG}text")]
    units = {f"{name}.service" for name in [*UNITS, "mail", "localechod", "dbus"]}
    assert units <= set(words)
    assert any(re.fullmatch(r"postgresql@\d+-main\.service", word) for word in words)
    assert set(CONNECTIONS) <= {word.removeprefix("/var") for word in words}
    assert "2 connections not accepted in 0.1 s" in words
    assert words[0].startswith(f"Local sockets of {HOST}, ")
    assert not any(NOISE in word for word in words)
    assert (PICTURES / "map.png").read_bytes().startswith(b"\x89PNG")


def test_colors_and_columns_of_the_terminal_are_preserved() -> None:
    picture = drawing(["printf 'a  \\033[31mred\\033[0m <&>\\n'; test -t 1 && tput cols"])
    shown = {text.text: text.attrib for text in texts(picture)}
    assert shown["red"]["class"] == "c31"
    assert float(shown["red"]["x"]) - float(shown["a"]["x"]) == pytest.approx(3 * 8.4)
    assert "<&>" in shown
    assert str(COLUMNS) in shown


def test_a_long_line_is_wrapped_as_in_a_terminal() -> None:
    picture = drawing([f"echo {'x' * 100}"])
    assert [text.text for text in texts(picture)][2:] == ["x" * 80, "x" * 20]
