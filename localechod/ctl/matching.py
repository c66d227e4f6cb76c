"""Which sockets of the kernel's list a user means: by name, by pattern, or by the file itself."""

import os
from collections.abc import Callable
from fnmatch import fnmatchcase

from localechod.errors import UsageError
from localechod.localsocket import notation
from localechod.localsocket.diag import DiagSocket
from localechod.localsocket.entry import diag_identity, is_socket
from localechod.text import escape

Matcher = Callable[[DiagSocket], bool]


def matcher(pattern: str) -> Matcher:
    """Return a test for the sockets that a pattern means, for a search.

    A pattern is compared with the names as `escape` shows them. It is also read as an address: its
    file is compared, and an abstract name may be padded with NUL bytes, or have "@" in their place.
    """

    def by_name(each: DiagSocket) -> bool:
        return fnmatchcase(escape(each.name or b""), pattern)

    try:
        raw = notation.read(pattern).raw
    except UsageError:
        return by_name
    by_file, bare = _file_matcher(raw), notation.without_nuls(raw)
    return lambda each: (
        by_name(each) or by_file(each) or notation.without_nuls(each.name or b"") == bare
    )


def address_matcher(raw: bytes) -> Matcher:
    """Return a test for the sockets that a connect to a name could reach.

    They are those of the file, where there is one: a replaced file may have had the same name.
    """
    if raw.startswith(b"\0") or not is_socket(raw):
        absolute = raw if raw.startswith(b"\0") else os.path.abspath(raw)  # noqa: PTH100 - links stay
        return lambda each: each.name in {raw, absolute}
    return _file_matcher(raw)


def _file_matcher(path: bytes) -> Matcher:
    if not is_socket(path):
        return lambda _: False
    try:
        identity = diag_identity(path)
    except OSError:
        return lambda _: False
    return lambda each: each.is_bound_to(*identity)
