"""localechod, the daemon: its command line and its exit status.

argparse, not typer: a daemon that runs for months should not have a CLI framework in its memory.
"""

import argparse
import gc
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from localechod import __version__
from localechod.errors import LocalechodError, UsageError
from localechod.host.daemonize import open_standard_streams
from localechod.host.memory import return_large_blocks
from localechod.text import printable

_EPILOG = """\
Without a configuration file it serves the built-in default: try `localechod`, then, from another
shell, `localechoctl status` and `localechoctl send stream hello`.

Signals: TERM and INT stop it, HUP reloads the configuration.
Exit status: 0 stopped on request, 1 failed, 2 usage, 78 bad configuration.
"""


class _Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, as all other errors are reported."""

    def error(self, message: str) -> NoReturn:
        wrong = UsageError(printable(message), f"see {self.prog} --help")
        self.exit(wrong.exit_status, f"{wrong}\n")


def parser() -> argparse.ArgumentParser:
    """Return the description of the command line. The manual page is generated from it too."""
    made = _Parser(
        prog="localechod",
        description="Serve echo endpoints on local (Unix domain) sockets.",
        epilog=_EPILOG,
        # Without a width argparse imports shutil, and with it all compression libraries: 0.7 MiB.
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=78),
        allow_abbrev=False,
    )
    made.add_argument("-c", "--config", metavar="FILE", help="configuration file (TOML)")
    made.add_argument(
        "--check", action="store_true", help="validate, print the effective configuration, exit"
    )
    made.add_argument("--detach", action="store_true", help="detach; return once it serves")
    made.add_argument(
        "--pid-file", metavar="FILE", help="where to write the pid (with --detach: has a default)"
    )
    made.add_argument("--runtime-dir", metavar="DIR", help="directory of the sockets")
    made.add_argument(
        "--log-level", metavar="LEVEL", choices=("debug", "info", "warning", "error"),
        default="info", help="debug, info (default), warning or error",
    )  # fmt: skip
    made.add_argument("--version", action="version", version=f"localechod {__version__}")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon; return its exit status."""
    open_standard_streams()
    return_large_blocks()
    options = parser().parse_args(arguments)
    # Imports leave nothing to collect. A collection during them takes 15 of 150 ms; later, modules
    # add 10 ms to every full collection, in which no client is served.
    gc.disable()
    # asyncio and grpclib go without ssl where it cannot be imported. OpenSSL takes 4 MiB and 5 ms,
    # and nothing encrypts a local socket. msgspec takes from typing what typing_extensions has for
    # older Pythons.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    # After the options: `--help` and `--version` need none of it.
    from localechod.daemon.start import check, run  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    try:
        if options.check:
            return check(options.config, options.runtime_dir)
        return run(options)
    except LocalechodError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there is no log yet
        return error.exit_status
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
