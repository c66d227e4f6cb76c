"""The reader of the documentation's commands, on pages small enough to see through."""

import re
import shlex
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer

from localechod import __version__
from localechod.ctl.app import build
from tests.system.pages import Step, alike, steps

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])


def page(*lines: str) -> list[Step]:
    return list(steps("\n".join([*lines, ""])))


def test_commands_and_their_output_are_told_apart() -> None:
    found = page("Text.", "", "```console", "$ one a", "out", "out", "", "# two", "$ three", "```")
    assert found == [Step(4, "one a", "out\nout"), Step(8, "two"), Step(9, "three")]


def test_a_command_may_go_on_in_the_next_line() -> None:
    assert page("```console", "$ one \\", "    two", "out", "```") == [
        Step(2, "one \\\n    two", "out")
    ]


def test_a_user_has_his_own_prompt_and_root_keeps_his() -> None:
    found = page("<!-- user: alice -->", "```console", "$ one", "# two", "```")
    assert [step.command for step in found] == ["runuser -u alice -- bash -c one", "two"]


def test_a_hidden_command_runs_in_its_place() -> None:
    found = page(
        "```console", "$ one", "```", "<!-- run: two\nthree -->", "```console", "$ 4", "```"
    )
    assert [step.command for step in found] == ["one", "two\nthree", "4"]


def test_a_file_is_written_as_the_page_shows_it() -> None:
    (found,) = page("<!-- append: /etc/x -->", "```toml", "a = 1", "```")
    assert found.command == "tee -a /etc/x <<'EOF'\na = 1\nEOF"


def test_a_transcript_is_compared_with_the_output_of_one_command() -> None:
    (found,) = page("<!-- output of: ./dev run -->", "```console", "$ one", "out", "```")
    assert found == Step(2, "./dev run", "$ one\nout\n")


def test_what_is_not_run_says_so() -> None:
    assert page("<!-- not run: takes a day -->", "```console", "$ one", "```") == []
    assert page("```text", "a drawing", "```") == []


@pytest.mark.parametrize("kind", ["", "toml", "sh"])
def test_a_block_of_which_nobody_knows_what_it_is_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="line 1: a block that nobody tries"):
        page(f"```{kind}", "one", "```")


def test_a_block_of_commands_begins_with_a_prompt() -> None:
    with pytest.raises(ValueError, match="begins with a prompt"):
        page("```console", "one", "```")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("pid 12345", "pid 77"),
        ("localechod 0.1.0, up 0 s", "localechod 1.12.3, up 14 s"),
        ("NAME  STATE", "NAME      STATE  "),
        ("a ... z", "a b c z"),
        ("first\n...\nlast", "first\nlast"),
        ("first\n...\nlast", "first\n2\n3\nlast"),
        ("first\n...", "first\n2\n3"),
        ("/x/localechod.Z2AVtR/run", "/x/localechod.abcdef/run"),
    ],
)
def test_what_differs_each_time_may_differ(shown: str, printed: str) -> None:
    assert alike(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("Permission denied (13)", "Permission denied (14)"),
        ("mode 0666", "mode 0660"),
        ("0 errors", "1 errors"),
        ("refused (111)", "refused (104)"),
        ("pid 12345", "pid"),
        ("first\nlast", "first\n2\nlast"),
        ("a ... z", "a b c"),
        ("Hi, hello", "Hi, hello\nand more"),
        ("a.b", "axb"),
    ],
)
def test_what_does_not_may_not(shown: str, printed: str) -> None:
    assert not alike(shown, printed)


def commands(group: Any) -> dict[str, set[str]]:
    """Return the options of each command."""
    found = {}
    for name, lazy in group.commands.items():
        command = lazy.load() if hasattr(lazy, "load") else lazy
        context = typer.Context(command, info_name=name)
        found[name] = {each for param in command.get_params(context) for each in param.opts}
    return found


def test_an_image_has_the_tag_of_this_version() -> None:
    named = [*PAGES, *CHECKOUT.glob("packaging/kubernetes/*.yaml")]
    tags = [tag for file in named for tag in re.findall(r"localechod:(\d[\w.]*)", file.read_text())]
    assert tags
    assert set(tags) == {__version__}


def test_a_command_in_running_text_has_these_options() -> None:
    """A block of commands is run as it stands (system/test_docs.py); this is the rest."""
    known = commands(build())
    checked = 0
    for page in PAGES:
        text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))
        for written in re.findall(r"`localechoctl ([a-z][^`]*)`", text):
            name, *words = takewhile(lambda word: word != "--", shlex.split(written))
            options = {each.partition("=")[0] for each in words if each.startswith("--")}
            assert name in known, f"{page.name}: localechoctl {written}"
            assert options <= known[name], f"{page.name}: localechoctl {written}"
            checked += 1
    assert checked > 20
