"""Fast start and exit of localechoctl: most commands run for less than a tenth of a second.

Nearly all objects that they make are modules, which stay to the end. Garbage collection among them
took a tenth of the time of `localechoctl status` while they were loaded, and a sixth at its end.
"""

import gc
import os
import signal
import sys
from io import TextIOWrapper
from typing import NoReturn

# Objects; `status` makes forty thousand. Long commands, such as events and bench, are collected.
_FIRST_COLLECTION = 50_000

_INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


def main() -> NoReturn:
    """Run the command line of this process."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored
        signal.signal(signal.SIGINT, _exit_at_once)
    gc.set_threshold(_FIRST_COLLECTION)
    _prepare_streams()
    # Imported after that, because loading it is most of the work.
    from localechod.ctl.app import run  # noqa: PLC0415 - see above

    if signal.getsignal(signal.SIGINT) is _exit_at_once:
        signal.signal(signal.SIGINT, _interrupt)
    status = run(sys.argv[1:])
    gc.freeze()  # leaves nothing to the interpreter's last collection
    sys.exit(status)


def _exit_at_once(_number: int, _frame: object) -> None:
    """Handle Ctrl-C while modules are loaded, where an exception would be a traceback."""
    os._exit(_INTERRUPTED)


def _interrupt(_number: int, _frame: object) -> None:
    """Handle Ctrl-C as Python does by default.

    asyncio replaces the default handler, and no other, by one that cancels a task. A connect that
    waits for space in a backlog would not notice.
    """
    raise KeyboardInterrupt


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
