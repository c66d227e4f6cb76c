"""The ways to install that README shows and test_docs.py cannot try, as a user follows them."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.system.machine import CHECKOUT, Machine
from tests.system.pages import Step, alike, steps

# The account that follows a page on the bare Debian; `make_user` creates it.
USER = "someone"
HOME = f"/home/{USER}"
UID = "1000"
# What pam_systemd sets, for a user whose manager runs.
RUNTIME = f"XDG_RUNTIME_DIR=/run/user/{UID}"
# What a login sets: the user's own commands come first on PATH.
_LOGIN = (
    "env",
    f"HOME={HOME}",
    f"PATH={HOME}/.local/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)
_SECONDS = 600.0  # of one command: some of them fetch and compile


def route(name: str, page: Path = CHECKOUT / "README.md") -> list[Step]:
    """Return the commands that a page leaves to this test file, by the comment before the block."""
    marked = rf"(?ms)^<!-- not run: [^>]*\b{re.escape(name)}\b[^>]*-->\n(```.*?^```)$"
    return [step for block in re.findall(marked, page.read_text()) for step in _steps(block)]


def section(heading: str, page: Path = CHECKOUT / "README.md") -> list[Step]:
    """Return the commands below a heading, "$ " being root's prompt."""
    _, _, rest = page.read_text().partition(f"\n## {heading}\n")
    return list(steps(rest.partition("\n## ")[0]))


def _steps(block: str) -> Iterator[Step]:
    return steps(f"<!-- user: {USER} -->\n{block}")


def make_user(debian: Machine) -> str:
    """Create an ordinary user with the project in their home; return its directory."""
    debian.run("useradd", "--create-home", "--uid", UID, USER)
    debian.run("cp", "-R", "/root/localechod", HOME)
    debian.run("chown", "-R", f"{USER}:", f"{HOME}/localechod")
    return f"{HOME}/localechod"


def as_user(debian: Machine, script: str, directory: str = HOME) -> str:
    """Have the ordinary user run a script; return its output.

    Raises:
        AssertionError: it failed, with all it said.
    """
    become = ["runuser", "-u", USER, "--"]
    return debian.run(
        *_LOGIN, *become, "bash", "-euc", f"cd {directory}\n{script}", seconds=_SECONDS
    )


def follow(debian: Machine, step: Step, directory: str, *variables: str) -> None:
    """Run a command of a page in a directory, a user's with more variables.

    Raises:
        AssertionError: it failed, or printed something else than the page shows.
    """
    environment = (*_LOGIN, *variables) if "runuser" in step.command else ()
    script = f"cd {directory}\n{step.command}"
    printed = debian.run(
        *environment, "bash", "-c", script, check=step.shown is None, seconds=_SECONDS
    )
    if step.shown is not None:
        assert alike(step.shown, printed), f"{step.command} printed:\n{printed}"
