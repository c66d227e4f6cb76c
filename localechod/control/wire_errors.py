"""Conversion of a LocalechodError to gRPC metadata and back.

It is trailing metadata and not google.rpc details, which would need googleapis-common-protos at
both ends for three short fields. Text has keys that end in "-bin", whose values gRPC carries as
bytes; other values hold only printable ASCII.
"""

from collections.abc import Mapping

from grpclib.const import Status

from localechod.control.connect import ConnectionLostError
from localechod.errors import (
    ConfigError,
    DaemonNotRunningError,
    LocalechodError,
    NothingListensError,
    NotPermittedError,
    UsageError,
)
from localechod.localsocket.address import Address
from localechod.text import printable, printable_lines

TEXT = "localechod-text-bin"
HINT = "localechod-hint-bin"
EXIT_STATUS = "localechod-exit-status"

# Characters. Many clients accept eight kilobytes of metadata. The name of an endpoint in a request,
# which the error repeats, may be longer than that.
LIMIT = 1000

_ERRORS: dict[str, type[LocalechodError]] = {
    str(kind.exit_status): kind
    for kind in (
        LocalechodError,
        UsageError,
        DaemonNotRunningError,
        NotPermittedError,
        NothingListensError,
        ConfigError,
    )
}


def metadata_of(error: LocalechodError) -> dict[str, str | bytes]:
    """Return the trailing metadata that lets a client rebuild the error."""
    text = str(error).removesuffix(f"; {error.hint}") if error.hint else str(error)
    return {
        TEXT: cut(text, 2 * LIMIT).encode("utf-8", "backslashreplace"),
        HINT: cut(error.hint, LIMIT).encode("utf-8", "backslashreplace"),
        EXIT_STATUS: str(error.exit_status),
    }


def cut(text: str, limit: int = LIMIT) -> str:
    """Return at most `limit` characters, with a note where the text was longer."""
    return text if len(text) <= limit else f"{text[:limit]} ... (cut)"


def error_of(
    status: Status,
    message: str | None,
    metadata: Mapping[str, str | bytes],
    address: Address,
) -> LocalechodError:
    """Return the error that a server sent.

    Without our metadata (an error of gRPC itself, or of another program's server) the status
    decides.

    Args:
        status: the gRPC status.
        message: the gRPC message.
        metadata: the trailing metadata.
        address: the server's.
    """
    text, hint, number = (metadata.get(key) for key in (TEXT, HINT, EXIT_STATUS))
    if isinstance(text, bytes) and isinstance(hint, bytes) and number is not None:
        kind = _ERRORS.get(str(number), LocalechodError)
        return kind(_text(text), _text(hint))
    cause = printable(cut(message or status.name))
    if status is Status.UNAVAILABLE:
        return ConnectionLostError(f"control call failed: {cause}: {address}")
    if status is Status.PERMISSION_DENIED:
        return NotPermittedError(cause)
    if status is Status.UNIMPLEMENTED:
        hint = "the daemon has another version, or another program listens there"
        return LocalechodError(f"control call failed: {cause} ({status.name})", hint)
    return LocalechodError(f"control call failed: {cause} ({status.name})")


def _text(text: bytes) -> str:
    return printable_lines(cut(text.decode("utf-8", "backslashreplace"), 3 * LIMIT))
