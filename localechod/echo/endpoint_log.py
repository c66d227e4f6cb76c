"""Reports what happens to an endpoint: as an event and in the log, in the same words."""

import logging
from collections.abc import Sequence
from functools import partial

from localechod.accounts import user_name
from localechod.echo.events import Event, EventBus
from localechod.echo.lifecycle import State
from localechod.echo.peer_log import NOBODY, PeerLog, Topic
from localechod.localsocket.peer import Credentials
from localechod.text import escape

log = logging.getLogger("localechod.echo")

# `journalctl MESSAGE_ID=...` finds all messages of a kind; sd-id128(3). They must never change.
MESSAGE_STATE = "eac385d1e24c40cdbf6e39e2926add7b"
MESSAGE_REFUSED = "1dddcd7ad318456191da6aba20c2fbe7"
MESSAGE_RECEIVED = "ee1d8fb9902e43beaa99d9a92864f99d"
MESSAGE_FAULT = "026b16d333b449589169c4326b1eb1ee"

# `starting` lasts for so short a time that it is only for debugging.
_LEVELS = {
    State.STOPPED: logging.INFO,
    State.STARTING: logging.DEBUG,
    State.LISTENING: logging.INFO,
    State.DEGRADED: logging.WARNING,
    State.FAILED: logging.WARNING,
}

# Bytes of a message that a log line shows.
_SHOWN = 200


class EndpointLog:
    """The events and log lines of one endpoint.

    Args:
        endpoint: its name.
        bus: of its events.
        peer_log: where lines go that a peer can cause.
    """

    def __init__(self, endpoint: str, bus: EventBus, peer_log: PeerLog) -> None:
        self._endpoint = endpoint
        self._bus = bus
        self._peer_log = peer_log
        prefix = f"{endpoint}: "
        self._states = {
            state: Topic(name=f"{prefix}state", level=level, prefix=prefix, pause=0)
            for state, level in _LEVELS.items()
        }
        self._refused = Topic(name=f"{prefix}refused", prefix=prefix)
        self._faults: dict[str, Topic] = {}
        self._prefix = prefix
        self._defect = Topic(name=f"{prefix}defect", level=logging.ERROR, prefix=prefix)
        self._received = Topic(
            name=f"{prefix}received", level=logging.INFO, prefix="Receive: ", pause=0
        )

    def state(self, state: State, text: str, *, by_peers: bool = False) -> None:
        """Report that the endpoint has changed its state.

        Args:
            state: the new one.
            text: one line.
            by_peers: whether clients can cause it, over and over: each change is an event, but not
                always a line in the log.
        """
        fields = {
            "ENDPOINT": self._endpoint,
            "STATE": str(state),
            "MESSAGE_ID": MESSAGE_STATE,
        }
        if by_peers:
            self._peer_log.write(self._states[state], NOBODY, lambda: text, fields)
        else:
            log.log(_LEVELS[state], "%s: %s", self._endpoint, text, extra={"fields": fields})
        self._bus.publish(Event("state", self._endpoint, text, state=str(state)))

    def refused(self, peer: Credentials, why: str) -> None:
        """Report that a peer was refused; for each user at most every ten seconds, with a count."""
        text = self._peer_log.write(
            self._refused,
            peer.uid,
            lambda: f"refused {user_name(peer.uid)} (uid {peer.uid}, pid {peer.pid}): {why}",
            {
                "ENDPOINT": self._endpoint,
                "PEER_PID": peer.pid,
                "PEER_UID": peer.uid,
                "MESSAGE_ID": MESSAGE_REFUSED,
            },
        )
        if text is not None:
            event = Event("refused", self._endpoint, text, uid=peer.uid, pid=peer.pid)
            self._bus.publish(event)

    def fault(self, fault: str, connection: int, message: int, pid: int, uid: int) -> None:
        """Report a fault that was done on purpose; each for a user at most every ten seconds."""
        topic = self._faults.get(fault)
        if topic is None:
            topic = self._faults[fault] = Topic(
                name=f"{self._prefix}fault {fault}", level=logging.INFO, prefix=self._prefix
            )
        text = self._peer_log.write(
            topic,
            uid,
            lambda: f"fault {fault}: connection {connection}, message {message}",
            {
                "ENDPOINT": self._endpoint,
                "PEER_PID": pid,
                "PEER_UID": uid,
                "MESSAGE_ID": MESSAGE_FAULT,
            },
        )
        if text is not None:
            self._bus.publish(Event("fault", self._endpoint, text, uid=uid, pid=pid))

    def defect(self, error: Exception) -> None:
        """Report an exception that nothing expected; at most every ten seconds, with a count."""
        self._peer_log.write(self._defect, NOBODY, lambda: "internal error", error=error)

    def received(self, messages: Sequence[bytes], uid: int) -> None:
        """Log messages that an endpoint with `log_messages` has received; this is no event.

        Those beyond the limit of lines are counted in one step: a read may have thousands.
        """
        fields = {"ENDPOINT": self._endpoint, "MESSAGE_ID": MESSAGE_RECEIVED}
        for number, message in enumerate(messages, 1):
            text = partial(_shown, message)
            if self._peer_log.write(self._received, uid, text, fields) is None:
                self._peer_log.leave_out(self._received, uid, len(messages) - number)
                return


def _shown(message: bytes) -> str:
    cut = " ..." if len(message) > _SHOWN else ""
    return escape(message[:_SHOWN].rstrip(b"\n")) + cut
