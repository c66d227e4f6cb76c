"""A tree like /sys/fs/selinux, whose policy is a list of rules.

No machine of ours runs SELinux. The file `access` is a terminal: as in the real one, a question is
written, and the answer read from the same descriptor.
"""

import os
import pty
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLASSES = {
    "dir": ("ioctl", "read", "search"),
    "lnk_file": ("ioctl", "read"),
    "sock_file": ("ioctl", "read", "write"),
    "unix_stream_socket": ("ioctl", "create", "connect", "connectto"),
    "unix_dgram_socket": ("ioctl", "create", "connect", "sendto"),
}
"""The permissions of each class; the number of a bit is its place, from 1, as in selinuxfs."""

Rule = tuple[str, str, str, str]
"""Labels of client and object, a class, and a permission of it."""


@contextmanager
def loaded(root: Path, allowed: list[Rule], permissive: str = "") -> Iterator[Path]:
    """Make the tree of a policy that allows this, and nothing else.

    Args:
        root: the directory, which is made.
        allowed: what it allows.
        permissive: the label of a domain for which denials are only logged.
    """
    root.mkdir()
    (root / "enforce").write_text("1", encoding="ascii")
    numbers = {}
    for number, (kind, names) in enumerate(CLASSES.items(), 7):
        numbers[number] = kind
        perms = root / "class" / kind / "perms"
        perms.mkdir(parents=True)
        (perms.parent / "index").write_text(str(number), encoding="ascii")
        for bit, name in enumerate(names, 1):
            (perms / name).write_text(str(bit), encoding="ascii")

    def answer(question: str) -> str:
        client, label, number, _requested = question.split()
        kind = numbers[int(number)]
        bits = sum(
            1 << CLASSES[kind].index(permission)
            for source, target, class_, permission in allowed
            if (source, target, class_) == (client, label, kind)
        )
        return f"{bits:x} ffffffff 0 ffffffff 5 {int(client == permissive):x}"

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    (root / "access").symlink_to(os.ttyname(theirs))

    def serve() -> None:
        try:
            while question := os.read(ours, 4096).decode():
                os.write(ours, answer(question).encode())
        except OSError:  # the last terminal has been closed
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield root
    finally:
        os.close(theirs)
        thread.join()
        os.close(ours)
