"""Plain rivals: the same byte-exact echo as an asyncio Protocol, on asyncio's loop or on uvloop's.

python -m benchmarks.rival asyncio|uvloop PATH
"""

import asyncio
import socket
import sys
from typing import cast

import uvloop


class Echo(asyncio.Protocol):
    """What a tutorial would show, with back-pressure, so that it is correct."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self._transport.write(data)

    def pause_writing(self) -> None:
        """Read nothing while the client does not."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._transport.resume_reading()


async def _serve(path: str) -> None:
    # Bound here: asyncio would unlink what another has left at the path, and wait for the loop.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    server = await asyncio.get_running_loop().create_unix_server(Echo, sock=listener, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    kind, address = sys.argv[1:]
    factory = uvloop.new_event_loop if kind == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(address))
