#!/usr/bin/env python3
r"""Write the generated parts of the manual pages, or check that they are current.

    tools/generate_manuals.py           write the generated parts of man/*
    tools/generate_manuals.py --check   write nothing; exit 1 with a diff where they are not current

A page is written by hand, in mdoc(7), except the lines between `.\" generated: PART` and `.\" end`.
These are options and commands, from the programs' --help; keys of the configuration, from
docs/configuration.md, which has to agree with the schema; and the reasons of errors, from
echo/reasons.py, with which that page has to agree as well.
"""

import argparse
import difflib
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import typer

from localechod import limits
from localechod.config import schema
from localechod.config.faults import Faults
from localechod.ctl.app import PROGRAM, build
from localechod.daemon.__main__ import parser
from localechod.echo.reasons import Reason

ROOT = Path(__file__).resolve().parent.parent
DESCRIBED = ROOT / "docs/configuration.md"
TABLES: dict[str, type[msgspec.Struct]] = {
    "service": schema.ServiceConfig,
    "control": schema.ControlConfig,
    "endpoints.NAME": schema.EndpointConfig,
    "endpoints.NAME.faults": Faults,
}
# The limits that the page describes, in its order.
FIGURES = [
    limits.BUFFERED_BYTES,
    limits.PASSED,
    limits.PASSED_CLOSING,
    limits.PASSED_THREADS,
    limits.PASSED_UNREAD_PER_USER,
    limits.PASSED_UNREAD,
    limits.DELAYED_BYTES,
    limits.RESERVED_DESCRIPTORS,
    limits.LOG_LINES,
    limits.LOG_LINES_PER_USER,
    limits.CONTROL_BACKLOG,
    limits.CONTROL_CONNECTIONS,
    limits.CONTROL_CONNECTIONS_PER_USER,
    limits.CALLS_PER_USER,
    limits.REQUEST_BYTES,
    limits.BYTES_PER_SECOND,
    limits.EVENTS,
]
WIDTH = 78  # columns of a source line: mandoc warns beyond 80


# ---- text in mdoc(7) -----------------------------------------------------------------------------


def escaped(text: str) -> str:
    """Return text with roff's special characters escaped; the "-" of an option can be copied."""
    text = text.replace("\\", "\\e").replace('"', "\\(dq").replace("'", "\\(aq")
    text = re.sub(r"(?<![\w-])-(?=[\w-])|(?<=\s-)-(?=\w)|(?<=\\--)-", r"\\-", text)
    return text.replace("--", "-\\-").replace("`", "\\(ga").replace("~", "\\(ti")


def prose(text: str) -> Iterator[str]:
    """Yield the lines of a paragraph; a sentence begins a new line, and `code` becomes bold."""
    for sentence in re.split(r"(?<=[.!?]) +(?=[^a-z])", " ".join(text.split())):
        marked = re.sub(r"`([^`]*)`", "\1\\1\2", sentence)
        bold = escaped(marked).replace("\1", "\\fB").replace("\2", "\\fR")
        lines = textwrap.wrap(bold, WIDTH, break_long_words=False, break_on_hyphens=False)
        # \& keeps a line that begins with . or ' from being read as a request.
        yield from (f"\\&{line}" if line[0] in ".'" else line for line in lines)


def literal(lines: list[str]) -> Iterator[str]:
    """Yield a block that is shown unchanged."""
    yield ".Bd -literal -offset indent"
    yield from ("\\&" + escaped(line).replace("\\-", "-").replace("-", "\\-") for line in lines)
    yield ".Ed"


def paragraphs(text: str) -> Iterator[str]:
    """Yield a docstring as in --help; a paragraph that begins with a backspace is an example."""
    for number, paragraph in enumerate(text.split("\n\n")):
        first, *rest = paragraph.removeprefix("\b\n").splitlines()
        if paragraph.startswith("\b"):
            yield from [
                ".Pp",
                *prose(first),
                *literal(textwrap.dedent("\n".join(rest)).split("\n")),
            ]
        else:
            yield from [".Pp"] * bool(number)
            yield from prose(paragraph)


def sentence(text: str) -> str:
    """Return a help text or a cell of a table as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def flag(words: str) -> str:
    """Return an option such as "--size BYTES" in macros."""
    name, _, value = words.partition(" ")
    value = f" Ar \\&{escaped(value)}" if value else ""
    return f"Fl {escaped(name[1:])}{value}"


def joined(names: list[str]) -> str:
    """Return the spellings of one option, in macros."""
    return " , ".join(map(flag, names))


def items(pairs: Iterator[tuple[str, str]]) -> Iterator[str]:
    """Yield a list of tags and their descriptions."""
    listed = [line for tag, text in pairs for line in (f".It {tag}", *prose(text))]
    if listed:
        yield from [".Bl -tag -width Ds", *listed, ".El"]


# ---- the generated parts -------------------------------------------------------------------------


def daemon_options() -> list[tuple[list[str], str]]:
    """Return the daemon's options: each one's spellings, and its help."""
    made = parser()
    return [
        ([f"{name} {action.metavar or ''}".strip() for name in action.option_strings],
         (action.help or "").strip())
        for action in made._get_optional_actions()  # noqa: SLF001 - argparse has no public list
    ]  # fmt: skip


def daemon_synopsis() -> Iterator[str]:
    """Yield the synopsis of localechod."""
    yield ".Nm"
    yield from (f".Op {flag(names[0])}" for names, _ in daemon_options())


def daemon_list() -> Iterator[str]:
    """Yield the options of localechod."""
    yield from items((joined(names), sentence(text)) for names, text in daemon_options())


def control_list() -> Iterator[str]:
    """Yield the options before a command of localechoctl."""
    group = build()
    yield from items(parameters(group, typer.Context(group, info_name=PROGRAM)))


def parameters(command: Any, ctx: Any) -> Iterator[tuple[str, str]]:
    """Yield the arguments and options of a command with their help."""
    for param in command.get_params(ctx):
        names, text = param.get_help_record(ctx) or ("", "")
        if param.param_type_name == "argument":
            yield f"Ar \\&{names}", text
        elif names and param.name != "help":  # the page has it once, for all commands
            yield joined(names.split(", ")), text


def commands() -> Iterator[str]:
    """Yield a part for each command of localechoctl."""
    group = build()
    yield from described(group, typer.Context(group, info_name=PROGRAM))


def described(group: Any, parent: Any) -> Iterator[str]:
    """Yield a part for each command of a group, and for those below it."""
    for name, lazy in group.commands.items():
        command = lazy.load() if hasattr(lazy, "load") else lazy
        ctx = typer.Context(command, info_name=name, parent=parent)
        words = ctx.command_path.removeprefix(f"{PROGRAM} ")
        yield f".Ss {words}"
        if not hasattr(command, "commands"):
            yield f".D1 Nm {PROGRAM} Cm {words} {' '.join(usage(command, ctx))}"
            yield ".Pp"
        yield from paragraphs(command.help or "")
        yield from items(parameters(command, ctx))
        if hasattr(command, "commands"):
            yield from described(command, ctx)


def usage(command: Any, ctx: Any) -> Iterator[str]:
    """Yield the arguments of a command in macros; typer has them as {NAME}... or [NAME]..."""
    for piece in command.collect_usage_pieces(ctx):
        word = escaped(piece.strip("{}[]."))
        word = "Ar options" if word == "OPTIONS" else f"Ar \\&{word}"
        word += " ..." * piece.endswith("...")
        yield f"Oo {word} Oc" if piece.startswith("[") else word


def keys() -> Iterator[str]:
    """Yield a part for each table of the configuration, with its keys."""
    text = DESCRIBED.read_text()
    for table, struct in TABLES.items():
        yield f".Ss [{table}]\\&"  # \&: mandoc would read the bracket as punctuation
        rows = rows_of(text, table)
        fields = {f.encode_name: f for f in msgspec.structs.fields(struct) if f.name != "name"}
        require(set(rows) == set(fields), table, set(rows) ^ set(fields))
        yield from items((f"Cm {key}", entry(fields[key], row, table)) for key, row in rows.items())


def reasons() -> Iterator[str]:
    """Yield the reasons by which errors are counted."""
    text = DESCRIBED.read_text()
    for reason in Reason:
        require(f"| `{reason}` | {reason.where} | {reason.meaning} |" in text, "reasons", reason)
    where = {"both": "", "control": " Control socket only.", "endpoints": " Endpoints only."}
    yield from items((f"Cm {one}", sentence(one.meaning) + where[one.where]) for one in Reason)


def fixed_limits() -> Iterator[str]:
    """Yield the limits that have no key."""
    section = DESCRIBED.read_text().partition("## Limits without a key\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", section, re.MULTILINE)
    require([int(figure) for figure, _ in rows] == FIGURES, "limits", FIGURES)
    yield from items((f"Cm {figure}", sentence(what)) for figure, what in rows)


def rows_of(text: str, table: str) -> dict[str, dict[str, str]]:
    """Return the cells of a table in docs/configuration.md, by key and by heading."""
    section = text.partition(f"## [{table}]\n")[2].partition("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    headings = [heading.strip(" |") for heading in cells[0]]
    rows: dict[str, dict[str, str]] = {}
    for names, *rest in cells[2:]:
        row = dict(zip(headings[1:], rest, strict=True))
        rows |= dict.fromkeys(re.findall(r"`(\w+)`", names), row)
    return rows


def entry(field: Any, row: dict[str, str], table: str) -> str:
    """Return the description of a key: its meaning, values, default, and where it applies."""
    default = row["default"]
    if field.default not in (None, msgspec.NODEFAULT):
        shown = json.dumps(msgspec.to_builtins(field.default))
        require(default == f"`{shown}`", f"{table}.{field.name}", default)
    reason = schema.REASONS[field.name]
    words = re.findall(r'"\w+"', reason)
    listed = words and all(word in row["what"] for word in words)
    # REASONS describes the path of an endpoint; that of [control] takes other values.
    if listed or (table, field.name) == ("control", "path"):
        reason = ""
    said = [row["what"], f"it {reason}" if reason else "", f"default: {default}"]
    said += [f"{heading}: {row[heading]}" for heading in ("applies to", "reload") if heading in row]
    return " ".join(sentence(text) for text in said if text)


def require(true: bool, where: str, what: object) -> None:
    """Exit if the description and the program differ."""
    if not true:
        sys.exit(f"{DESCRIBED.relative_to(ROOT)} and the program differ: {where}: {what}")


# ---- pages ---------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "synopsis of localechod": daemon_synopsis,
    "options of localechod": daemon_list,
    "options of localechoctl": control_list,
    "commands of localechoctl": commands,
    "keys": keys,
    "reasons": reasons,
    "limits": fixed_limits,
}


def current(page: str) -> str:
    """Return a page with its generated parts up to date."""
    return re.sub(
        r'(?ms)^(\.\\" generated: (.*?)\n).*?(?=^\.\\" end$)',
        lambda part: part[1] + "".join(f"{line}\n" for line in PARTS[part[2]]()),
        page,
    )


def main() -> int:
    """Return 0, or 1 where --check found a difference."""
    arguments = argparse.ArgumentParser(description="Generate parts of the manual pages.")
    arguments.add_argument("--check", action="store_true", help="compare with the committed pages")
    arguments.add_argument("directory", nargs="?", type=Path, default=ROOT / "man")
    options = arguments.parse_args()
    drifted = False
    for path in sorted(options.directory.glob("*.[1-8]")):
        old = path.read_text()
        new = current(old)
        if options.check:
            lines = (old.splitlines(keepends=True), new.splitlines(keepends=True))
            sys.stdout.writelines(difflib.unified_diff(*lines, f"{path}", f"generated/{path.name}"))
            drifted |= old != new
        else:
            path.write_text(new)
    if drifted:
        sys.stderr.write("manual pages are not current: run tools/generate_manuals.py\n")
    return 1 if drifted else 0


if __name__ == "__main__":
    sys.exit(main())
