"""`./dev test --on SUITE`: the tests of this checkout on a bare Debian, in a booted machine.

What git tracks is copied into the machine. `./dev test` then installs there what it needs, as it
does for a stranger. Tests that boot a machine boot it in that one.
"""

import shlex
import sys

from tests.release.debian import PROJECT, SUITES, bare, missing
from tests.release.routes import HOME, USER, make_user
from tests.system.machine import Machine

_USAGE = f"usage: ./dev test --on {'|'.join(SUITES)} [--user] [ARGS]\n"


def main(arguments: list[str]) -> int:
    """Run the tests with these arguments; return the exit status of `./dev test` there."""
    suite, *rest = arguments or [""]
    if suite not in SUITES:
        sys.stderr.write(_USAGE)
        return 2
    if missing():
        sys.stderr.write(f"no machine to boot: {missing()}\n")
        return 1
    with bare(suite) as debian:
        if rest[:1] == ["--user"]:
            return _as_user(debian, rest[1:])
        return debian.follow("sh", "-c", _tests(PROJECT, rest))


def _as_user(debian: Machine, arguments: list[str]) -> int:
    """Run them as an ordinary user who has no sudo: root installs the packages beforehand."""
    directory = make_user(debian)
    debian.follow("sh", "-c", f"{_tests(directory, ['--version'])} && chown -R {USER}: .")
    become = ["env", f"HOME={HOME}", f"USER={USER}", f"LOGNAME={USER}", "runuser", "-u", USER, "--"]
    return debian.follow(*become, "sh", "-c", _tests(directory, arguments))


def _tests(directory: str, arguments: list[str]) -> str:
    return f"cd {directory} && {shlex.join(['./dev', 'test', *arguments])}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
