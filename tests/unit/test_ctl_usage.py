"""A wrong command line: one line with the error and a hint, for every command."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localechod.ctl import usage
from localechod.ctl.app import COMMANDS, build, run

Capture = pytest.CaptureFixture[str]

ROOT = Path(__file__).parents[2]
NASTY = "two\nlines\x1b[31m\r\udcff"
SHOWN = r"two\nlines\x1b[31m\r\xff"


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each command with the words that lead to it."""
    for name, lazy in group.commands.items():
        command = lazy.load() if hasattr(lazy, "load") else lazy
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def parsers_cases() -> Iterator[tuple[str, list[str], str]]:
    """Yield command, words and message, for every error of a command's parser."""
    for path, command in commands(build()):
        options = [p for p in command.params if p.param_type_name == "option"]
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        needed = ["x"] * sum(p.required for p in arguments)
        yield path, [*needed, "--nope"], "no such option: --nope"
        yield path, [*needed, "--no\npe"], r"no such option: --no\x0ape"
        yield path, [*needed, "--help=1"], "option '--help' does not take a value"
        if needed:
            yield path, [], f"missing argument '{arguments[0].metavar}'"
        if not any(p.nargs == -1 for p in arguments):
            surplus = "got unexpected extra argument(s) (two"
            yield path, [*["x"] * len(arguments), NASTY], surplus
        for option in options:
            name = option.opts[0]
            if option.is_flag:
                yield path, [*needed, f"{name}=1"], f"option '{name}' does not take a value"
                continue
            yield path, [*needed, name], f"option '{name}' requires an argument"
            kind = option.type_descriptor
            if kind.choices or kind.annotation in {int, float}:
                wrong = f"invalid value for '{name}': '{SHOWN.replace('xff', 'udcff')}' is not "
                yield path, [*needed, name, NASTY], wrong


CASES = list(parsers_cases())


def one_line(words: list[str], capsys: Capture) -> str:
    """Run a command line that is wrong; return the one line it prints."""
    assert run(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    line = shown.err.removesuffix("\n")
    assert line.isprintable(), line
    return line


def test_the_table_has_every_command() -> None:
    assert {path.split()[0] for path, _, _ in CASES} == set(COMMANDS)


@pytest.mark.parametrize(("path", "words", "says"), CASES)
def test_an_error_of_the_parser_is_one_line(
    path: str, words: list[str], says: str, capsys: Capture
) -> None:
    line = one_line([*path.split(), *words], capsys)
    assert line.startswith(says)
    assert line.endswith(f"; see localechoctl {path} --help")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nope"], "there is no command nope; see localechoctl --help"),
        ([NASTY], f"there is no command {SHOWN}; see localechoctl --help"),
        (["sned"], "there is no command sned; did you mean send? see localechoctl --help"),
        (["--", "-x"], "there is no command -x; see localechoctl --help"),
        (["config", "chek"], "did you mean check? see localechoctl config --help"),
        (["--nope"], "no such option: --nope; see localechoctl --help"),
        (["--control"], "option '--control' requires an argument; see localechoctl --help"),
        (["--control", "/x"], "missing command; see localechoctl --help"),
        (["--version=1"], "option '--version' does not take a value; see localechoctl --help"),
        (["config", "-x"], "no such option: -x; see localechoctl config --help"),
        (["send", "--ty", "x", "y"], "no such option: --ty (Possible options: --type); see "),
    ],
)
def test_errors_in_global_options_and_command_names_are_one_line(
    words: list[str], line: str, capsys: Capture
) -> None:
    assert line in one_line(words, capsys)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("send / x", "address /: the path names a directory; add the name of the socket"),
        ("send /NASTY --hex NASTY", f"{SHOWN} is not a message in hex; "),
        ("send /x --as NASTY", f"no such user: {SHOWN}; see getent passwd"),
        ("send /x --timeout 0", "--timeout 0: must be more than 0 "),
        ("send /x --timeout -1", "--timeout -1: must be more than 0 "),
        ("send /x --record-size 1 y", "--record-size 1: must be 2 to "),
        ("wait --timeout -1", "--timeout -1: must be more than 0 seconds"),
        ("sockets --user NASTY", f"no such user: {SHOWN}; see getent passwd"),
        ("explain @", "address @: the abstract name is empty; "),
        ("explain /x --as NASTY", f"no such user: {SHOWN}; see getent passwd"),
        ("explain /x --pid 0", "--pid 0: not a process id; see ps -e"),
        ("lab NASTY", f"there is no experiment {SHOWN}; there are "),
        ("bench --size 0", "--size 0: it takes 1 to "),
        ("bench --connections 0", "--connections 0: it takes 1 to "),
        ("bench --in-flight -1", "--in-flight -1: it takes 1 to "),
        ("bench --repeats 0", "--repeats 0: it takes 1 to "),
        ("bench --seconds 0", "--seconds 0: it takes more than 0 "),
        ("bench --timeout 1e9", "--timeout 1e+09: it takes more than 0 "),
        ("bench --cpu NASTY", f"--cpu {SHOWN}: it takes a processor's number, or any"),
        ("bench /x --record-size 1", "--record-size 1: must be 2 to "),
        ("bench --record-size 64", "--record-size is for a TARGET; "),
        ("bench --type stream", "--type is for a TARGET; "),
        ("bench --framing line", "--framing is for a TARGET; "),
    ],
)
def test_an_error_of_a_command_is_one_line(words: str, line: str, capsys: Capture) -> None:
    assert one_line([word.replace("NASTY", NASTY) for word in words.split()], capsys).startswith(
        line
    )


@pytest.mark.parametrize("words", [[], ["config"]])
def test_without_a_command_the_help_is_printed(words: list[str], capsys: Capture) -> None:
    assert run(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"Usage: {' '.join(['localechoctl', *words])} [OPTIONS] COMMAND")
    assert "\nCommands:\n" in shown.err


def test_on_a_terminal_with_colours_it_is_the_same_line() -> None:
    ours, theirs = pty.openpty()
    try:
        refused = subprocess.run(
            [sys.executable, "-m", "localechod.ctl", "send", "--timeout", "soon", "x"],
            stdout=theirs,
            stderr=theirs,
            check=False,
            timeout=60,
            env={**os.environ, "TERM": "xterm-256color", "FORCE_COLOR": "1"},
            cwd=ROOT,
        )
        said = os.read(ours, 10_000)
    finally:
        os.close(ours)
        os.close(theirs)
    assert refused.returncode == 2
    assert said == (
        b"invalid value for '--timeout': 'soon' is not a number; see localechoctl send --help\r\n"
    )


def test_the_error_of_the_parser_is_the_parent_of_the_one_that_typer_exports() -> None:
    """Fails if typer's BadParameter no longer descends from a UsageError with these members."""
    error = usage._PARSER_ERROR("text")
    assert type(error).__name__ == "UsageError"
    assert (error.ctx, error.format_message()) == (None, "text")
