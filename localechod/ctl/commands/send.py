"""localechoctl send: send messages to any local socket, print the replies."""

import os
from collections.abc import Iterable
from typing import Annotated

import typer

from localechod.ctl.completion import endpoint_names
from localechod.ctl.send.codec import choose
from localechod.ctl.send.conversation import Conversation
from localechod.ctl.send.identity import become
from localechod.ctl.send.stdio import lines, show, unhex
from localechod.ctl.target import Framing, Target, Type, reach, resolve
from localechod.errors import UsageError
from localechod.localsocket.types import TYPE_NAMES

_LONGEST = 86400


def send(  # noqa: PLR0913, PLR0917 - typer makes an option of each
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="An endpoint's name, a path, or @NAME.",
            autocompletion=endpoint_names,
            show_default=False,
        ),
    ],
    messages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MESSAGE", help="One message each; by default every line of standard input."
        ),
    ] = None,
    kind: Annotated[
        Type | None,
        typer.Option("--type", help="The socket's type; by default it is found out."),
    ] = None,
    framing: Annotated[Framing, typer.Option(help="Where a message ends on a stream.")] = "auto",
    record_size: Annotated[
        int | None,
        typer.Option(metavar="BYTES", help="Size of a record; by default the target's, or 4096."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait for each reply.")
    ] = 5.0,
    hexadecimal: Annotated[
        bool, typer.Option("--hex", help="Read messages and print replies as hex digits.")
    ] = False,
    user: Annotated[
        str | None,
        typer.Option("--as", metavar="USER", help="Connect with this user's rights (root only)."),
    ] = None,
) -> None:
    """Send messages to a local socket and print each reply on a line.

    TARGET with a / or a leading @ is an address, as are the forms of other programs, such as
    unix:path=/x; anything else is the name of an endpoint of localechod, which must be running.
    Replies are printed as they come; on a terminal, control characters are shown as escapes.

    Framing auto is the endpoint's own. Any other stream socket is sent a line; its reply ends at a
    newline, a NUL or a pause, and the rest of a 4096-byte record is dropped.

    Examples:
        localechoctl send stream hello
        localechoctl send /run/other/server.sock g1 g2 g3
        seq 3 | localechoctl send --timeout 1 @abstract-name
    """
    if not 0 < timeout <= _LONGEST:
        raise UsageError(
            f"--timeout {timeout:g}: must be more than 0 and at most {_LONGEST} seconds"
        )
    found = resolve(target, ctx.obj).refined(kind, framing, record_size)
    read = unhex if hexadecimal else bytes
    # Arguments are checked before anything is sent; lines of standard input cannot be.
    given = [read(os.fsencode(word)) for word in messages or ()]
    if user is not None:
        become(user)
    _converse(found, given or map(read, lines()), timeout, hexadecimal=hexadecimal)


def _converse(
    target: Target, messages: Iterable[bytes], timeout: float, *, hexadecimal: bool
) -> None:
    with reach(target, timeout) as connected:
        path = str(target.address)
        exchange = choose(TYPE_NAMES[connected.type], target.framing, target.record_size, path)
        conversation = Conversation(connected.sock, exchange, path, timeout)
        for message in messages:
            for reply in conversation.ask(message):
                show(reply, hexadecimal=hexadecimal)
