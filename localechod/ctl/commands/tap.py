"""localechoctl tap: what a command says to a local socket, and what it hears."""

import os
import socket
import stat
from typing import TYPE_CHECKING, Annotated

import typer

from localechod.ctl.target import Type, read_address, resolve
from localechod.errors import UsageError
from localechod.localsocket import diag
from localechod.localsocket.address import Address
from localechod.localsocket.entry import diag_identity
from localechod.localsocket.types import TYPES
from localechod.tap import listening, session
from localechod.tap.direction import plain
from localechod.tap.display import Display, Style
from localechod.tap.pcapng import Capture
from localechod.tap.record import Recorder
from localechod.text import escape

if TYPE_CHECKING:
    from localechod.tap.faults import RelayFaults


def tap(  # noqa: PLR0913, PLR0917 - typer makes an option of each
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="An endpoint's name, a path, or @NAME.", show_default=False
        ),
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND...", help="The command to run.", show_default=False),
    ] = None,
    write: Annotated[
        str | None,
        typer.Option(metavar="FILE.pcapng", help="Write the bytes to a file for Wireshark."),
    ] = None,
    dissector: Annotated[
        str,
        typer.Option("--for", metavar="NAME", help="The protocol inside, by Wireshark's name."),
    ] = "",
    lines: Annotated[bool, typer.Option("--lines", help="Show every line whole.")] = False,
    hexadecimal: Annotated[bool, typer.Option("--hex", help="Show hex digits.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no bytes.")] = False,
    kind: Annotated[
        Type | None,
        typer.Option("--type", help="The socket's type; by default the kernel is asked."),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Do not supervise the command: listen at this new path."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A fault of the replies; may be given repeatedly."),
    ] = None,
) -> None:
    """Run a command and show what passes between it and a local socket.

    The command's connections to TARGET, and those of the processes that it starts, lead through
    this program; nobody else's do. It needs no root, and no change to the command. The command
    keeps its standard input and output; what passes is printed to standard error. The exit status
    is the command's, or 128 + N where signal N ended it.

    Streams, records, datagrams, passed descriptors, half-close and back-pressure are kept. The
    server sees this program's pid; uid and gid are the same. The command sees another name of the
    server, and setuid programs such as sudo get no rights, unless root runs this.

    Where the kernel refuses the supervision, --listen PATH makes a socket that leads to TARGET, and
    the command, or any program, is told to use that. Without a COMMAND, it ends with Ctrl-C.

    --fault KEY=VALUE makes replies late, cut, lost or the last, so that the command meets a bad
    server: delay, jitter, pieces, pause, truncate, close_after, reset_after, close_on_accept,
    reset_on_accept, never_read, never_reply, half_close, drop, duplicate, reorder, corrupt,
    refuse_descriptors, seed. They are those of an endpoint, see localechod.toml(5). A reply is what
    is read from the server at once. The faults that were done are counted at the end.

    The file of --write holds all bytes, passwords too; only its owner can read it.

    Examples:
        localechoctl tap stream -- localechoctl send stream hello
        localechoctl tap --hex /run/docker.sock -- docker ps
        localechoctl tap --fault truncate=3 stream -- localechoctl send stream hi
        localechoctl tap --write x.pcapng --for http /run/docker.sock -- docker ps
    """
    chosen = [style for style, wanted in _styles(lines, hexadecimal, quiet) if wanted]
    if len(chosen) > 1:
        raise UsageError("--lines, --hex and --quiet exclude each other")
    if dissector and write is None:
        raise UsageError("--for is for --write", "give --write FILE.pcapng")
    if listen is None and not command:
        raise UsageError("tap: no command", "add -- COMMAND, or --listen PATH")
    found = resolve(target, ctx.obj)
    known = kind or found.type
    type_ = TYPES[known] if known else _type(found.address)
    faults = _faults(fault, type_) if fault else None
    capture = None if write is None else _capture(write, found.address, dissector)
    recorder = Recorder(Display(chosen[0] if chosen else Style.SHORT), capture)
    directions = faults.directions if faults else plain
    if listen is None:
        status = session.run(found.address, type_, command or (), recorder, directions)
    else:
        listener = listening.listen(Address.checked(read_address(listen)), type_)
        status = listening.run(found.address, listener, command or (), recorder, directions)
    recorder.close()
    if faults:
        recorder.display.say(f"tap: faults done: {faults}")
    raise typer.Exit(status)


def _faults(settings: list[str], type_: int) -> "RelayFaults":
    # 25 ms, for this option alone.
    from localechod.tap.faults import RelayFaults, read  # noqa: PLC0415

    return RelayFaults(read(settings, type_))


def _styles(lines: bool, hexadecimal: bool, quiet: bool) -> list[tuple[Style, bool]]:
    return [(Style.LINES, lines), (Style.HEX, hexadecimal), (Style.QUIET, quiet)]


def _type(address: Address) -> int:
    """Ask the kernel for the socket's type; where nothing is bound yet, a stream is assumed."""
    try:
        bound = (
            diag.named(address.raw)
            if address.is_abstract
            else diag.bound_to(*diag_identity(address.sockaddr))
        )
    except OSError:
        bound = []
    return next((each.type for each in bound), int(socket.SOCK_STREAM))


def _capture(path: str, address: Address, dissector: str) -> Capture:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):  # not a pipe, or /dev/stdout
            if found.st_uid != os.geteuid():
                # Another user could have put it there, to read what root writes.
                raise UsageError(
                    f"open failed: Operation not permitted (1): {escape(path)}",
                    "it belongs to another user; choose another file",
                )
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
        return Capture(descriptor, str(address), dissector)
    except OSError as error:
        reason = f"open failed: {error.strerror} ({error.errno}): {escape(path)}"
        raise UsageError(reason) from error
