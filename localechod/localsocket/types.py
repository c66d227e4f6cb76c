"""The socket types of AF_UNIX (unix(7)): their names here, and their numbers (socket(2))."""

import socket

# In the order in which they are tried where the server's type is not given.
TYPES: dict[str, int] = {
    "stream": int(socket.SOCK_STREAM),
    "seqpacket": int(socket.SOCK_SEQPACKET),
    "datagram": int(socket.SOCK_DGRAM),
}

TYPE_NAMES = {number: name for name, number in TYPES.items()}
