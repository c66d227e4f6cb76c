"""The proof that an abstract name is its sender's, which the compiled part checks as well."""

# Microseconds for which a check of a connected client is good, as its proof is: a check of each of
# its datagrams was a quarter to a third of the server's system calls.
CHECK_MICROSECONDS = 1000


class Proof:
    """Shows whose socket has an abstract name.

    Attributes:
        probe: the descriptor to connect to the name.
        marker: the unread message of the probe; empty if that socket is connected to the endpoint,
            and refuses the probe.
        uid: the owner of that socket.
        until: monotonic seconds at which the proof ends.
        checked: of a connected client, when a connect last showed that the name is still one's, in
            monotonic seconds; otherwise -1.0, and each datagram is checked.
    """

    __slots__ = ("checked", "marker", "probe", "uid", "until")

    def __init__(self, probe: int, marker: bytes, uid: int, until: float) -> None:
        self.probe = probe
        self.marker = marker
        self.uid = uid
        self.until = until
        self.checked = -1.0
