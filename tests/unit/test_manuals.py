"""The manual pages: current, complete, and read by man without a complaint."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from localechod.config import schema
from localechod.ctl.app import build
from localechod.daemon.__main__ import parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "man").iterdir())
NAMES = [page.name for page in PAGES]


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tools/generate_manuals.py", *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def shown(name: str) -> str:
    """Return a page as a terminal shows it, without its broken words."""
    page = ROOT / "man" / name
    groff = ["groff", "-mandoc", "-Tascii", "-P-c", "-rLL=1000n", "-rHY=0", "-ww", str(page)]
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    done = subprocess.run(groff, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    letters = [*done.stdout]
    for place, letter in enumerate(letters):
        if letter == "\b":  # bold and underlined letters are printed twice
            letters[place] = letters[place - 1] = ""
    return "".join(letters)


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, lazy in group.commands.items():
        command = lazy.load() if hasattr(lazy, "load") else lazy
        yield f"{before}{name}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")


def test_the_pages_say_what_the_programs_say() -> None:
    checked = generate("--check")
    assert (checked.returncode, checked.stdout) == (0, "")


def test_a_page_that_drifted_is_found_and_mended(tmp_path: Path) -> None:
    for page in PAGES:
        text = page.read_text().replace("Fl \\-timeout", "Fl \\-patience")
        (tmp_path / page.name).write_text(text)
    checked = generate("--check", str(tmp_path))
    assert checked.returncode == 1
    assert "-.It Fl \\-patience Ar \\&SECONDS\n+.It Fl \\-timeout Ar \\&SECONDS" in checked.stdout
    assert generate(str(tmp_path)).returncode == 0
    for page in PAGES:
        assert (tmp_path / page.name).read_bytes() == page.read_bytes()


def test_localechod_8_names_every_option() -> None:
    text = shown("localechod.8")
    for action in parser()._get_optional_actions():
        for option in action.option_strings:
            assert f"{option} " in text.replace(",", " ").replace("\n", " "), option


def test_localechoctl_1_names_every_command_and_option() -> None:
    text = shown("localechoctl.1")
    for name, command in commands(build()):
        assert f"   {name}\n" in text, name
        own = text.partition(f"\n   {name}\n")[2].partition("\n   ")[0]
        if not hasattr(command, "commands"):
            own = text.partition(f"\n   {name}\n")[2]
            assert f"localechoctl {name}" in own.splitlines()[0]
        for param in command.params:
            for option in param.opts if param.param_type_name == "option" else ():
                assert option in own, f"{name} {option}"


def test_localechod_toml_5_names_every_key() -> None:
    text = shown("localechod.toml.5")
    sections = text.partition("\nKEYS\n")[2]
    for struct in (schema.ServiceConfig, schema.ControlConfig, schema.EndpointConfig):
        for field in msgspec.structs.fields(struct):
            # groff 1.22 indents by five columns, groff 1.23 by seven.
            tagged = re.search(rf"\n {{5,7}}{field.name}\s", sections)
            assert field.name == "name" or tagged, field.name


@pytest.mark.parametrize("name", NAMES)
def test_man_shows_it_without_a_warning(name: str) -> None:
    if shutil.which("man") is None:
        pytest.skip("no man here")
    page = str(ROOT / "man" / name)
    done = subprocess.run(
        ["man", "--warnings", "-l", page], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "localechod" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_mandoc_has_nothing_to_say_against_it(name: str) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("no mandoc here")
    page = str(ROOT / "man" / name)
    done = subprocess.run(["mandoc", "-Tlint", page], capture_output=True, text=True, check=False)
    # Whether the other pages are installed here says nothing of this one.
    elsewhere = ("referenced manual not found", "mandoc.db")
    said = [line for line in done.stdout.splitlines() if not any(x in line for x in elsewhere)]
    assert said == []
