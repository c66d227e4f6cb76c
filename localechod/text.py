"""Text from outside, made safe for a terminal: names, paths, accounts, answers of other programs.

Anybody may bind a name full of newlines and escape sequences. So nothing that comes from outside
this program reaches a terminal or a log but through `escape` or `printable`.
"""

import os
import re

_SHORTHAND = {"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
_MEANING = {text.encode(): character.encode() for character, text in _SHORTHAND.items()}
_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|[\\nrt])")


def escape(name: bytes | str) -> str:
    r"""Return any name as one printable line; two different byte strings never look alike.

    A leading NUL (an abstract address, unix(7)) is shown as "@"; bytes that really begin with "@"
    (a relative path) as ``\x40``. Printable letters of any script stay, everything else becomes
    ``\n``, ``\t``, ``\r``, ``\\`` or one ``\xNN`` for each byte.
    """
    if isinstance(name, bytes):
        text = name.decode("utf-8", "surrogateescape")
        prefix, text = (r"\x40", text[1:]) if text.startswith("@") else ("", text)
    else:
        prefix, text = "", name
    if not prefix and text.startswith("\0"):
        prefix, text = "@", text[1:]
    return prefix + escape_all(text)


def escape_all(text: str) -> str:
    """Return text with escapes as `escape` makes them; its beginning is not special."""
    if text.isprintable() and "\\" not in text:
        return text  # nearly every one, of which a list has thousands
    return "".join(map(_escaped, text))


def unescape(shown: str) -> bytes:
    r"""Return the bytes that `escape` shows like this; a leading "@" is a NUL byte.

    Raises:
        ValueError: `escape` shows no bytes like this, as with a "\" that is followed by a "d".
    """
    raw = os.fsencode(shown)
    raw = b"\0" + raw[1:] if raw.startswith(b"@") else raw
    raw = _ESCAPE.sub(
        lambda found: bytes([int(found[1], 16)]) if found[1] else _MEANING[found[0]], raw
    )
    if escape(raw) != shown:
        raise ValueError(shown)
    return raw


def printable(text: str) -> str:
    r"""Return text as one line that a terminal can take; printable text stays as it is.

    Unlike `escape`, it leaves a backslash alone, so that text which was escaped before is not
    escaped twice.
    """
    return text if text.isprintable() else escape(text)


def printable_lines(text: str) -> str:
    """Return text of several lines, each as `printable` makes it."""
    return "\n".join(map(printable, text.split("\n")))


def failure(action: str, number: int | None, path: str | os.PathLike[str] = "") -> str:
    """Return ``ACTION failed: CAUSE (ERRNO)`` and, where a path is given, ``: PATH``."""
    code = number or 0
    text = f"{action} failed: {os.strerror(code)} ({code})"
    name = printable(os.fspath(path))
    return f"{text}: {name}" if name else text


def _escaped(character: str) -> str:
    if character in _SHORTHAND:
        return _SHORTHAND[character]
    if character.isprintable():
        return character
    # U+DC80..U+DCFF is how Python carries a byte that is no UTF-8; any other lone surrogate can
    # only come from text that never was a name, and must not raise here.
    carried = "\udc80" <= character <= "\udcff"
    encoded = character.encode("utf-8", "surrogateescape" if carried else "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in encoded)
