"""localechoctl's way in and out, made short: most commands live for less than a tenth of a second.

Nearly all that they make in that time are modules, which stay to the end. To look for garbage among
them took a tenth of `localechoctl status` while they were loaded, and a sixth when it ended.
"""

import gc
import os
import sys
from io import TextIOWrapper
from typing import NoReturn

# Objects; a status makes forty thousand. What goes on, as events and bench, is collected as ever.
_FIRST_LOOK = 50_000


def main() -> NoReturn:
    """Run the command line of this process."""
    gc.set_threshold(_FIRST_LOOK)
    _prepare_streams()
    # Now, as loading it is most of the work.
    from localechod.ctl.app import run  # noqa: PLC0415 - see above

    status = run(sys.argv[1:])
    gc.freeze()  # the interpreter's last collection finds nothing to look at
    sys.exit(status)


def _prepare_streams() -> None:
    """Let nothing that is printed end in a traceback."""
    for name, flag in (("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            # The caller has closed it. The lowest free number is its own; results that go nowhere
            # are a failure to be told, so that standard output is open for reading only.
            descriptor = os.open(os.devnull, flag)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A character that the locale cannot show is shown by its number; it ends nothing.
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
