#!/usr/bin/env python3
"""Write the completion scripts of localechoctl, or check that they are current.

tools/generate_completions.py           write packaging/completions/*
tools/generate_completions.py --check   write nothing; exit 1 where one is not current

Wheels, `./dev install` and the Debian package put them where bash, zsh and fish look by themselves.
"""

import argparse
import sys
from pathlib import Path

from typer.completion import get_completion_script

from localechod.ctl.app import PROGRAM

DIRECTORY = Path(__file__).resolve().parent.parent / "packaging/completions"
FILES = {"bash": PROGRAM, "zsh": f"_{PROGRAM}", "fish": f"{PROGRAM}.fish"}
# zsh reads the file at the first Tab, and typer's script prepares completion only for the next one.
FIRST_TAB = f'[[ $zsh_eval_context[-1] != loadautofunc ]] || _{PROGRAM}_completion "$@"\n'


def script(shell: str) -> str:
    """Return the script of "bash", "zsh" or "fish"."""
    variable = f"_{PROGRAM.upper()}_COMPLETE"
    made = get_completion_script(prog_name=PROGRAM, complete_var=variable, shell=shell)
    return f"{made.strip()}\n{FIRST_TAB if shell == 'zsh' else ''}"


def main() -> int:
    """Return 0, or 1 where --check found a difference."""
    arguments = argparse.ArgumentParser(description="Generate the completion scripts.")
    arguments.add_argument("--check", action="store_true", help="compare with the committed files")
    check = arguments.parse_args().check
    stale = []
    for shell, name in FILES.items():
        path = DIRECTORY / name
        if check:
            stale += [name] if path.read_text() != script(shell) else []
        else:
            path.write_text(script(shell))
    if stale:
        sys.stderr.write(f"not current: {', '.join(stale)}: run tools/generate_completions.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
