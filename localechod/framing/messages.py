"""The messages of a client: one as it is sent, and the next one in what was received."""


def encode(message: bytes, framing: str, record_size: int) -> bytes:
    """Return a message as it is sent on a stream.

    Args:
        message: its bytes, without a newline.
        framing: "line", "record" or "chunk".
        record_size: bytes of a record; a longer message is cut to one less, for the NUL.
    """
    if framing == "line":
        return message + b"\n"
    if framing == "record":
        return message[: record_size - 1].ljust(record_size, b"\0")
    return message


def take(buffer: bytearray, framing: str, record_size: int) -> bytes | None:
    """Take the next message from a client's buffer; None if it is not complete.

    Args:
        buffer: the bytes received; the message is removed from it.
        framing: "line" (returned without its newline), "record" (up to its first NUL) or "chunk".
        record_size: bytes of a record.
    """
    if framing == "line":
        end = buffer.find(b"\n")
        size, cut = end, end + 1
    elif framing == "record":
        size = cut = record_size if len(buffer) >= record_size else -1
    else:
        size = cut = len(buffer) or -1
    if size < 0:
        return None
    message = bytes(buffer[:size])
    del buffer[:cut]
    return message.partition(b"\0")[0] if framing == "record" else message
