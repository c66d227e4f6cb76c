import socket

def answer(
    sock: socket.socket,
    prefix: bytes,
    limit: int,
    most: int,
    slack: int,
    answered: set[str | bytes],
    /,
) -> tuple[
    int, int, int, int, int | tuple[bytes, tuple[int, int, int], str | bytes | None] | None
]: ...
