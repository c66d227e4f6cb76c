"""How this room's errors are worded, so that none can write to the terminal it is shown on."""

import os


def printable(text: str) -> str:
    """Put any text on one harmless line: control characters and stray bytes as escapes.

    The toolbox for addresses has an ``escape`` of its own for names as the kernel gives them; this
    one is for paths, accounts and log lines, and stays here because the two rooms share a floor.
    """
    return "".join(_character(character) for character in text)


def _character(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # a byte that was not UTF-8 (os.fsdecode)
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def failure(action: str, number: int | None, path: str | os.PathLike[str] = "") -> str:
    """Return ``ACTION failed: CAUSE (ERRNO)`` and, where a path is given, ``: PATH``."""
    code = number or 0
    text = f"{action} failed: {os.strerror(code)} ({code})"
    name = printable(os.fspath(path))
    return f"{text}: {name}" if name else text
