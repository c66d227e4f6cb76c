"""endpoints.json: the addresses of the endpoints, for clients that do not call the daemon.

The daemon writes it into its runtime directory, readable by everyone; `localechoctl send NAME`
reads it without loading gRPC. The directory belongs to the service's user, so root must not trust
the file: types are checked, and only the fields below are read.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from localechod.control.connect import start_hint
from localechod.errors import DaemonNotRunningError, LocalechodError, SocketError, UsageError
from localechod.host import runtime
from localechod.host.regular import read_regular
from localechod.localsocket.address import Address
from localechod.text import escape

# A catalog of a thousand endpoints is a fifth of this. No more is read.
LIMIT_BYTES = 1024 * 1024

_RECORD_SIZES = range(2, (1 << 20) + 1)  # as in the configuration's schema


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One endpoint, as a client needs it to connect.

    Attributes:
        type: "stream", "datagram" or "seqpacket".
        path: absolute, or "@" and a name, unescaped, as the configuration has it.
        framing: "line", "record" or "chunk"; "" where the kernel keeps the boundaries.
        record_size: bytes of a record.
    """

    name: str
    type: str
    path: str
    framing: str
    record_size: int


def write(path: Path, entries: Iterable[CatalogEntry]) -> None:
    """Write the catalog atomically, with mode 0644; a reader sees the old or the new one.

    Only one daemon at a time writes, so the unfinished file needs no name of its own. tempfile
    would be loaded after the drop of privileges, from files that may not be readable then.

    Raises:
        SocketError: with the action "write", where the file cannot be written.
    """
    unfinished = path.with_name(".endpoints-unfinished")
    text = json.dumps({"endpoints": [asdict(entry) for entry in entries]}, indent=2) + "\n"
    try:
        unfinished.unlink(missing_ok=True)  # a killed daemon's
        try:
            with unfinished.open("x", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SocketError("write", error.errno or 0, escape(os.fsencode(path))) from None


def read(path: Path) -> dict[str, CatalogEntry]:
    """Return the endpoints by name.

    Raises:
        DaemonNotRunningError: there is no catalog.
        LocalechodError: it cannot be read, or does not have the form that `write` gives it.
    """
    shown = escape(os.fsencode(path))
    try:
        text = read_regular(path, LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise DaemonNotRunningError(
            f"localechod is not running: there is no {shown}",
            f"{start_hint(path.parent / runtime.CONTROL)}; or name a path instead of an endpoint",
        ) from None
    except OSError as error:
        raise SocketError("read", error.errno or 0, shown) from None
    try:
        if text is None or len(text) > LIMIT_BYTES:
            raise ValueError(f"it is no regular file of at most {LIMIT_BYTES} bytes")  # noqa: TRY301 - as in `_rows`
        return {entry.name: entry for entry in map(_entry, _rows(json.loads(text)))}
    except (ValueError, RecursionError) as error:
        raise LocalechodError(
            f"read failed: {escape(str(error))}: {shown}",
            "restart localechod, which writes it again, or name a path",
        ) from None


def _rows(document: Any) -> list[Any]:
    rows = document.get("endpoints") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise ValueError("no list of endpoints")  # noqa: TRY004 - `read` reports all of them as one error
    return rows


def _entry(row: Any) -> CatalogEntry:
    """Return one row, checked.

    Raises:
        ValueError: a field is missing, of the wrong type, or out of range.
    """
    values: dict[str, Any] = {}
    for field in fields(CatalogEntry):
        value = row.get(field.name) if isinstance(row, dict) else None
        if type(value) is not field.type:
            raise ValueError(f"an endpoint's {field.name} is not of type {field.type}")
        values[field.name] = value
    entry = CatalogEntry(**values)
    if entry.record_size not in _RECORD_SIZES:
        raise ValueError(f"an endpoint's record_size is {entry.record_size}")
    try:
        Address.parse(entry.path)
    except UsageError as error:
        raise ValueError(error.text) from None
    return entry
