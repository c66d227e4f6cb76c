r"""Names of sockets as people write and paste them: one reader for all commands.

Programs write the same socket in many ways: `/run/x`, `unix:///run/x` (URIs), `unix:path=/run/x`
(D-Bus), `UNIX-CONNECT:/run/x` (socat), `unix-abstract:x` (gRPC). Every form has something that no
endpoint's name has: a "/", a leading "@", a "\", or one of these words and a colon. So a text is
either an address or the name of an endpoint, never both.

A name may also be written as `escape` shows it. That form comes first, so that each name which a
command prints leads back to its socket. A "\" that `escape` would not have printed is itself.
"""

import os
import re
from dataclasses import dataclass

from localechod.errors import UsageError
from localechod.text import escape, unescape

# socat(1): UNIX-CONNECT and its relatives; options follow a comma
_SOCAT = re.compile(
    r"(?:(unix|local)|abstract)-(?:connect|client|listen|sendto|recv|recvfrom):([^,]*)",
    re.IGNORECASE,
)
# gRPC (doc/naming.md), and socat's short form
_ABSTRACT = re.compile(r"(?:unix-)?abstract:(.*)", re.IGNORECASE | re.DOTALL)
# gRPC, Docker, nginx; "http+unix://%2Frun%2Fx" has the path in place of a host
_URI = re.compile(r"(?:[a-z]+\+)?(?:unix|local):(.*)", re.IGNORECASE | re.DOTALL)
# D-Bus specification, Server Addresses: a list, of which one entry at least is a local socket
_DBUS = re.compile(r"(?:[a-z]+:[^;]*;)*unix:(?:[^;]*,)?(?:path|abstract)=")
# libpq, Connection URIs: a directory as host
_POSTGRESQL = re.compile(r"postgres(?:ql)?://([^/?]*)[^?]*(?:\?(.*))?", re.DOTALL)
_POSTGRESQL_PORT = "5432"


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a socket that a text stands for.

    Attributes:
        raw: as in sun_path: a path, which has a "/" in it, or a NUL and an abstract name. Its
            length is not checked.
        remark: the choice that was made, one escaped line; "" where there was none.
    """

    raw: bytes
    remark: str = ""


def is_address(text: str) -> bool:
    """Tell whether a text is an address; otherwise it can only be an endpoint's name."""
    if "/" in text or "\\" in text or text.startswith("@"):
        return True
    return any(form.match(text) for form in (_SOCAT, _ABSTRACT, _URI, _DBUS))


def read(text: str) -> Name:
    """Return the name that an address stands for.

    Only where a text has two readings is the file system consulted: the first of them that exists
    as a file is meant.

    Raises:
        UsageError: it is empty, or names no local socket.
    """
    if "\0" in text:
        raise UsageError(f"address {escape(text)}: a name cannot contain a NUL byte")
    if _DBUS.match(text):
        return _dbus(text)
    if found := _SOCAT.match(text):
        return Name(_path(found[2]) if found[1] else _abstract(_bytes(found[2])))
    if found := _ABSTRACT.match(text):
        return Name(_abstract(_decoded(found[1])))
    if found := _POSTGRESQL.fullmatch(text):
        return _postgresql(text, *found.groups())
    if found := _URI.match(text):
        return Name(_uri(found[1]))
    return Name(_plain(text))


def without_nuls(name: bytes) -> bytes:
    """Return an abstract name with "@" for each NUL byte, and with none at its end.

    ss(8) and /proc/net/unix print it like this. Some servers bind all of sun_path, with NUL bytes
    up to its end.
    """
    return name.replace(b"\0", b"@").rstrip(b"@") if name.startswith(b"\0") else name


def _dbus(text: str) -> Name:
    """Read a D-Bus address list; its first local socket is meant."""
    entries = [entry for entry in text.split(";") if entry]
    for number, entry in enumerate(entries, 1):
        transport, _, rest = entry.partition(":")
        keys = dict(pair.partition("=")[::2] for pair in rest.split(","))
        if transport != "unix" or not keys.keys() & {"path", "abstract"}:
            continue
        value = _decoded(keys.get("path") or keys.get("abstract", ""))
        raw = _relative(value) if "path" in keys else _abstract(value)
        many = len(entries) > 1
        return Name(raw, f"address {number} of {len(entries)}: {escape(raw)}" if many else "")
    raise UsageError(f"address {escape(text)}: names no local socket")


def _postgresql(text: str, authority: str, query: str | None) -> Name:
    """Read a connection URI; the server's socket in the directory has the port in its name."""
    host, _, port = authority.rpartition("@")[2].partition(":")
    keys = dict(pair.partition("=")[::2] for pair in (query or "").split("&"))
    directory = _decoded(keys.get("host", host))
    if not directory.startswith((b"/", b"@")):
        raise UsageError(
            f"address {escape(text)}: names no local socket", "host= must be a directory"
        )
    raw = directory + b"/.s.PGSQL." + _bytes(keys.get("port") or port or _POSTGRESQL_PORT)
    raw = b"\0" + raw[1:] if raw.startswith(b"@") else raw
    return Name(raw, f"PostgreSQL's socket in that directory: {escape(raw)}")


def _uri(rest: str) -> bytes:
    if not rest.startswith("//"):
        return _path(rest)
    authority, slash, path = rest[2:].partition("/")
    if "%2f" in authority.lower():
        return _relative(_decoded(authority))
    # Redis writes user and password before the path, and the database after a "?".
    return _path(authority.rpartition("@")[2] + slash + re.split("[?#]", path)[0])


def _path(text: str) -> bytes:
    """Read what follows a word and a colon: a path, with or without %-escapes."""
    if text.startswith("@"):
        return _abstract(_bytes(text[1:]))
    return _existing(_relative(_decoded(text)), _relative(_bytes(text)))


def _plain(text: str) -> bytes:
    raw = _bytes(text)
    literal = _abstract(raw[1:]) if text.startswith("@") else _relative(raw)
    try:
        printed = unescape(text)
    except ValueError:
        return literal
    return printed if printed.startswith(b"\0") else _existing(_relative(printed), literal)


def _existing(*readings: bytes) -> bytes:
    """Return the first reading that is the name of a file, or else the first of all."""
    if len(set(readings)) == 1:
        return readings[0]
    return next(filter(os.path.lexists, readings), readings[0])


def _relative(raw: bytes) -> bytes:
    """Mark a relative path as one, so that no code takes its directory for "/"."""
    if not raw:
        raise UsageError("the address is empty", "give a path, @NAME, or an endpoint's name")
    return raw if b"/" in raw else b"./" + raw


def _abstract(raw: bytes) -> bytes:
    if not raw:
        raise UsageError("address @: the abstract name is empty", "write @ and then a name")
    return b"\0" + raw


def _decoded(text: str) -> bytes:
    """Undo %-escapes (RFC 3986; the D-Bus specification has the same)."""
    return re.sub(
        rb"%([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), _bytes(text)
    )


def _bytes(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError as error:
        raise UsageError(f"address {escape(text)}: not a name in this locale's encoding") from error
