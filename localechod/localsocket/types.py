"""The socket types of AF_UNIX (unix(7)): their names here, and their numbers (socket(2))."""

import socket

# In the order in which they are tried where nobody has said which type a server has.
TYPES: dict[str, int] = {
    "stream": int(socket.SOCK_STREAM),
    "seqpacket": int(socket.SOCK_SEQPACKET),
    "datagram": int(socket.SOCK_DGRAM),
}

TYPE_NAMES = {number: name for name, number in TYPES.items()}
