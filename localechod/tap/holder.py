"""The process that stays with what a command left running.

A filter lasts as long as its processes. When nobody answers for it, each connect(2) of theirs, to
the network too, fails with ENOSYS. So a small process goes on to answer: the kernel goes on.
"""

import os
import select

from localechod.tap import supervision


def is_needed(listener: int) -> bool:
    """Tell whether any process has the filter still."""
    poll = select.poll()
    poll.register(listener, 0)
    return not any(events & select.POLLHUP for _, events in poll.poll(0))


def leave(listener: int) -> None:
    """Leave a process behind that lets all calls go on, and ends with the last of the processes.

    It keeps no terminal, no directory and no other descriptor.
    """
    if os.fork():
        return
    try:
        os.setsid()
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.dup2(listener, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        _let_all_go_on(3)
    finally:
        os._exit(0)


def _let_all_go_on(listener: int) -> None:
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while not any(events & select.POLLHUP for _, events in poll.poll()):
        if call := supervision.receive(listener):
            supervision.proceed(listener, call)
