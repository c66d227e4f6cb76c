"""Words of a command that a person can type as it stands, in bash(1) as in other shells.

`text.escape` makes a name safe to look at; a shell would take its backslashes for something else.
"""

import os
import re
import shlex

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?\Z", re.ASCII)


def word(text: bytes | str) -> str:
    r"""Quote one word: as it is, in single quotes or, with odd bytes, as ``$'...'``.

    The last form is ANSI-C quoting (bash(1), QUOTING; POSIX.1-2024). It is printable ASCII, so that
    it survives being copied from a terminal.
    """
    raw = os.fsencode(text)
    if raw.isascii() and raw.decode("ascii").isprintable():
        return shlex.quote(raw.decode("ascii"))
    try:
        if (shown := raw.decode()).isprintable():
            return shlex.quote(shown)
    except UnicodeDecodeError:
        pass
    return f"$'{''.join(map(_ansi_c, raw))}'"


def path(name: bytes) -> str:
    """Quote a path; one that begins with "-" gets "./", so that it is no option."""
    return word(b"./" + name if name.startswith(b"-") else name)


def is_plain(name: str) -> bool:
    """Whether commands take this account name in an argument such as u:NAME:w."""
    return _NAME.match(name) is not None


def _ansi_c(byte: int) -> str:
    character = chr(byte)
    if character in "\\'":
        return f"\\{character}"
    # Three octal digits, not \xNN: some shells read more than two hexadecimal digits.
    return character if byte < 0x80 and character.isprintable() else f"\\{byte:03o}"
