"""The proof that an abstract name is its sender's, which the compiled part checks as well."""

# Microseconds for which a check of a proof is good. A name may pass to another socket meanwhile.
# But a user that gives it away does not decide when another user takes it. A check of each datagram
# was a quarter to a third of the server's system calls.
CHECK_MICROSECONDS = 1000


class Proof:
    """Shows whose socket has an abstract name.

    Attributes:
        probe: the descriptor to connect to the name.
        marker: the unread message of the probe; empty if that socket is connected to the endpoint,
            and refuses the probe.
        uid: the owner of that socket.
        until: monotonic seconds at which the proof ends.
        checked: when a connect last showed that the socket is still the same, in monotonic seconds;
            -1.0: never.
    """

    __slots__ = ("checked", "marker", "probe", "uid", "until")

    def __init__(self, probe: int, marker: bytes, uid: int, until: float) -> None:
        self.probe = probe
        self.marker = marker
        self.uid = uid
        self.until = until
        self.checked = -1.0
