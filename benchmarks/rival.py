"""A plain rival: the same byte-exact echo as an asyncio Protocol.

python -m benchmarks.rival PATH
"""

import asyncio
import socket
import sys
from typing import cast


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
    asyncio.run(_serve(sys.argv[1]))
