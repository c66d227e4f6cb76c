"""Fast start and exit of localechoctl: most commands run for less than a tenth of a second.

Nearly all objects that they make are modules, which stay to the end. Garbage collection among them
took a tenth of the time of `localechoctl status` while they were loaded, and a sixth at its end.
"""

import gc
import os
import sys
from io import TextIOWrapper
from typing import NoReturn

# Objects; `status` makes forty thousand. Long commands, such as events and bench, are collected.
_FIRST_COLLECTION = 50_000


def main() -> NoReturn:
    """Run the command line of this process."""
    gc.set_threshold(_FIRST_COLLECTION)
    _prepare_streams()
    # Imported after that, because loading it is most of the work.
    from localechod.ctl.app import run  # noqa: PLC0415 - see above

    status = run(sys.argv[1:])
    gc.freeze()  # leaves nothing to the interpreter's last collection
    sys.exit(status)


def _prepare_streams() -> None:
    """Make sure that printing cannot end in a traceback."""
    for name, flag in (("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            # The caller has closed it, so os.open returns its number, the lowest free one. Lost
            # results must be reported as a failure: standard output is opened for reading only.
            descriptor = os.open(os.devnull, flag)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A character that the locale cannot encode is shown as an escape instead of an error.
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
