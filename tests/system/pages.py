"""The commands that a page of documentation shows, and whether what it shows is what happens.

Commands stand in fenced blocks of the kind `console`. "# " before a command is root's prompt, "$ "
root's as well or that of a user named before (see below); the lines that follow are its output.
Where none is shown the command has to succeed and may print what it likes. In the output "..." is
anything, alone on a line any number of lines; numbers of three digits and more, versions, seconds,
the random end of a temporary file's name and the width of a gap may differ. All the commands of a
page run in one shell, in order.

HTML comments, which a reader does not see, say the rest:

    <!-- run: COMMAND -->             a command that is not shown; it has to succeed
    <!-- user: NAME -->               from here on "$ " is this user's prompt
    <!-- output of: COMMAND -->       the next block is what this command prints, prompts included
    <!-- write: PATH -->              the next block is what is in this file
    <!-- append: PATH -->             ... what is added to it
    <!-- not run: REASON -->          the next block is not tried
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.system.machine import CHECKOUT, Machine

_DIRECTIVE = re.compile(r"<!-- (run|user|output of|write|append|not run): (.*?) -->", re.DOTALL)
_BLOCK = re.compile(r"(?m)^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL)
# Newer versions of systemd-nspawn (262) print it; pages do not show it.
_NOTICE = "Note: in a future version of systemd-nspawn "
_PLAIN = {"text"}  # a block of this kind is none of commands
_PLACES = re.compile(
    r"(?P<any>\.\.\.)|(?P<gap>\s+)|(?P<version>\d+\.\d+\.\d+)|(?P<seconds>\b\d+(?= s\b))"
    r"|(?P<number>(?<![\w.(])[1-9]\d{2,}\b)|(?P<random>(?<=\.)\w{6}(?=[/\s]|$))"
)
_TOLERANT = {
    "any": ".*?",
    "gap": r"\s+",
    "version": r"\d+\.\d+\.\d+",
    "seconds": r"\d+",
    "number": r"\d+",
    "random": r"\w+",
}

_UNIT = ("--property=Delegate=yes", "--property=RuntimeMaxSec=100", "--setenv=LANG=C.UTF-8")


@dataclass(frozen=True)
class Step:
    """One command of a page.

    Attributes:
        line: where it stands.
        command: for bash, as root.
        shown: the output that the page shows, None where it shows none.
    """

    line: int
    command: str
    shown: str | None = None


def steps(page: str) -> Iterator[Step]:
    """Yield the commands of a page.

    Raises:
        ValueError: a block that is neither commands nor said to be something else.
    """
    user, said = "root", ("", "")
    found = [*_DIRECTIVE.finditer(page), *_BLOCK.finditer(page)]
    for match in sorted(found, key=lambda match: match.start()):
        line = page.count("\n", 0, match.start()) + 1
        if match.re is _DIRECTIVE:
            word, value = match.groups()
            if word == "run":
                yield Step(line, value)
            elif word == "user":
                user = value
            else:
                said = (word, value)
            continue
        text, (word, value), said = match["text"], said, ("", "")
        if word in {"write", "append"}:
            tee = "tee -a" if word == "append" else "tee"
            yield Step(line, f"{tee} {value} <<'EOF'\n{text}EOF")
        elif word == "output of":
            yield Step(line, value, text)
        elif match["kind"] == "console" and not word:
            yield from _commands(text, line + 1, user)
        elif match["kind"] not in _PLAIN and word != "not run":
            raise ValueError(f"line {line}: a block that nobody tries: say what it is")


def _commands(text: str, first: int, user: str) -> Iterator[Step]:
    lines = text.splitlines()
    starts = [place for place, line in enumerate(lines) if line[:2] in {"$ ", "# "}]
    if not starts or starts[0] != 0:
        raise ValueError(f"line {first}: a block of the kind console begins with a prompt")
    for start, end in pairwise([*starts, len(lines)]):
        last = start
        while lines[last].endswith("\\"):
            last += 1
        command = "\n".join([lines[start][2:], *lines[start + 1 : last + 1]])
        if lines[start][0] == "$" and user != "root":
            command = f"runuser -u {user} -- bash -c {shlex.quote(command)}"
        shown = "\n".join(lines[last + 1 : end]).strip("\n")
        yield Step(first + start, command, shown or None)


def alike(shown: str, printed: str) -> bool:
    """Whether what was printed is what a page shows, but for what differs each time."""
    printed = "\n".join(line for line in printed.splitlines() if not line.startswith(_NOTICE))
    pattern = ""
    for line in shown.strip("\n").splitlines():
        pattern += (
            r"(?:.*\n)*?" if line.strip() == "..." else _tolerant(line.rstrip()) + r"[ \t]*\n"
        )
    return re.fullmatch(pattern, printed.strip("\n") + "\n") is not None


def _tolerant(line: str) -> str:
    pattern, end = "", 0
    for place in _PLACES.finditer(line):
        kind = place.lastgroup
        assert kind is not None
        pattern += re.escape(line[end : place.start()]) + _TOLERANT[kind]
        end = place.end()
    return pattern + re.escape(line[end:])


def faults(machine: Machine, page: Path) -> list[str]:
    """Run a page's commands in the machine; return what went otherwise than it says."""
    wanted = list(steps(page.read_text()))
    script = f"cd {CHECKOUT}; exec </dev/null; outputs=$(mktemp -d)\n"
    for number, step in enumerate(wanted):
        # A file each: what a command in the background says later is not the next one's output.
        script += f'{{\n{step.command}\n}} >"$outputs/{number}" 2>&1\n'
        script += f"printf '\\0%s\\0' $?; cat \"$outputs/{number}\"\n"
    script += 'rm -r "$outputs"\n'
    # A unit of its own: what a page leaves running ends with it, and it may make containers.
    unit = ["systemd-run", "--quiet", "--pipe", "--wait", *_UNIT]
    unit += [f"--setenv={name}={value}" for name, value in machine.environment.items()]
    unit += ["bash", "-c", script]
    done = machine.process(*unit)
    told = done.stdout.split("\0")[1:]
    results = list(zip(told[::2], told[1::2], strict=True))
    found = [
        f"{page.name}:{step.line}: {step.command}\n  status {status}, printed:\n{printed}"
        + (f"  the page shows:\n{step.shown}\n" if step.shown else "")
        for step, (status, printed) in zip(wanted, results, strict=False)
        if (status != "0" if step.shown is None else not alike(step.shown, printed))
    ]
    if len(results) < len(wanted):
        found.append(f"{page.name}:{wanted[len(results)].line}: the shell ended\n{done.stderr}")
    return found
