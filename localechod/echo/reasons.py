"""Why clients were refused and what went wrong: every reason that is counted, and its meaning.

An endpoint counts its errors by these, and so does the control socket. `localechoctl status` and
`metrics` show them by name, so the names are a public interface. The manual pages list them.
"""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """A reason; an error number without one of its own is counted as its name, such as "eio".

    Attributes:
        where: "endpoints", "control" or "both": what counts it.
        meaning: one line.
    """

    where: str
    meaning: str

    def __new__(cls, name: str, where: str, meaning: str) -> Self:
        """Make a member with the name that is shown."""
        made = str.__new__(cls, name)
        made._value_, made.where, made.meaning = name, where, meaning
        return made

    NOT_ALLOWED = "not_allowed", "endpoints", "the peer is not in `allow`"
    USER_LIMIT = (
        "user_limit",
        "both",
        "the peer's user has `max_connections_per_user`; on the control socket, 16 connections",
    )
    TOO_LONG = (
        "too_long",
        "both",
        "a message longer than `max_message`; on the control socket, a request of over 64 KiB",
    )
    INCOMPLETE = "incomplete", "endpoints", "a record cut by the end of the connection"
    IDLE_TIMEOUT = "idle_timeout", "endpoints", "closed after `idle_timeout`"
    MEMORY_LIMIT = (
        "memory_limit",
        "endpoints",
        "closed because all connections together kept too much memory, and this user most of it",
    )
    CONNECTION_RESET = "connection_reset", "endpoints", "the peer went away with unread bytes"
    BROKEN_PIPE = "broken_pipe", "endpoints", "the peer went away before its reply"
    ENDPOINT_STOPPED = (
        "endpoint_stopped",
        "endpoints",
        "the endpoint was stopped before it came to this client, or systemd keeps its socket open",
    )
    ACCEPT_FAILED = (
        "accept_failed",
        "endpoints",
        "accept(2) failed: no descriptor or memory is left; counted once for each episode",
    )
    UNNAMED_SENDER = (
        "unnamed_sender",
        "endpoints",
        "a datagram from a socket without an address cannot be answered",
    )
    UNPROVEN_SENDER = (
        "unproven_sender",
        "endpoints",
        "the sender's abstract name is not proven to be that of a socket of its user",
    )
    OWN_ENDPOINT = (
        "own_endpoint",
        "endpoints",
        "the sender has the name of a datagram endpoint of this daemon",
    )
    RECEIVER_GONE = "receiver_gone", "endpoints", "the sender's socket is no longer there"
    WRONG_TYPE = "wrong_type", "endpoints", "the sender's path leads to a socket of another type"
    PERMISSION_DENIED = (
        "permission_denied",
        "endpoints",
        "the sender's socket refuses the daemon, belongs to another user or is connected elsewhere",
    )
    QUEUE_FULL = (
        "queue_full",
        "endpoints",
        "the sender's queue or the daemon's own send buffer is full",
    )
    UNREAD_REPLIES = (
        "unread_replies",
        "endpoints",
        "the sender has unread replies; it gets no more until it has read them",
    )
    DELAYED_LIMIT = (
        "delayed_limit",
        "endpoints",
        "the sender's user has 4 MiB of delayed replies to datagrams; no more are kept",
    )
    REPLY_TOO_LONG = "reply_too_long", "endpoints", "the reply does not fit the socket"
    TOTAL_LIMIT = (
        "total_limit",
        "control",
        "all users together have 64 connections, and this user has two",
    )
    CALL_LIMIT = "call_limit", "control", "the caller's user has 64 calls under way"
    BYTE_LIMIT = (
        "byte_limit",
        "control",
        "the peer's user sends more than 8 KiB a second; the connection ends with GOAWAY",
    )
    NOT_PERMITTED = "not_permitted", "control", "the caller is not an administrator"
    UNKNOWN_METHOD = "unknown_method", "control", "there is no such method"
    INVALID_REQUEST = "invalid_request", "control", "the request is missing, or cannot be read"
    INVALID_HTTP2 = "invalid_http2", "control", "the peer's bytes are not HTTP/2"
    INTERNAL_ERROR = (
        "internal_error",
        "both",
        "a defect of localechod ended this connection or call, or lost this datagram; see the log",
    )
