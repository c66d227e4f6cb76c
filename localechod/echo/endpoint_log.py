"""Reports what happens to an endpoint: as an event and in the log, in the same words."""

import logging
import time

from localechod.accounts import user_name
from localechod.echo.events import Event, EventBus
from localechod.echo.lifecycle import State
from localechod.echo.ratelimit import LineLimit, RateLimit
from localechod.localsocket.peer import Credentials
from localechod.text import escape

log = logging.getLogger("localechod.echo")

# `journalctl MESSAGE_ID=...` finds all messages of a kind; sd-id128(3). They must never change.
MESSAGE_STATE = "eac385d1e24c40cdbf6e39e2926add7b"
MESSAGE_REFUSED = "1dddcd7ad318456191da6aba20c2fbe7"
MESSAGE_RECEIVED = "ee1d8fb9902e43beaa99d9a92864f99d"

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
    """The events and log lines of one endpoint."""

    def __init__(self, endpoint: str, bus: EventBus) -> None:
        self._endpoint = endpoint
        self._bus = bus
        self._refusals = RateLimit()
        self._defects = RateLimit()
        self._messages = LineLimit()

    def state(self, state: State, text: str) -> None:
        """Report that the endpoint has changed its state."""
        log.log(
            _LEVELS[state],
            "%s: %s",
            self._endpoint,
            text,
            extra={
                "fields": {
                    "ENDPOINT": self._endpoint,
                    "STATE": str(state),
                    "MESSAGE_ID": MESSAGE_STATE,
                }
            },
        )
        self._bus.publish(Event("state", self._endpoint, text, state=str(state)))

    def refused(self, peer: Credentials, why: str) -> None:
        """Report that a peer was refused; for each user at most every ten seconds, with a count."""
        more = self._refusals.note(peer.uid, time.monotonic())
        if more is None:
            return
        text = f"refused {user_name(peer.uid)} (uid {peer.uid}, pid {peer.pid}): {why}{more}"
        log.warning(
            "%s: %s",
            self._endpoint,
            text,
            extra={
                "fields": {
                    "ENDPOINT": self._endpoint,
                    "PEER_PID": peer.pid,
                    "PEER_UID": peer.uid,
                    "MESSAGE_ID": MESSAGE_REFUSED,
                }
            },
        )
        self._bus.publish(Event("refused", self._endpoint, text, uid=peer.uid, pid=peer.pid))

    def defect(self, error: Exception) -> None:
        """Report an exception that nothing expected; at most every ten seconds, with a count."""
        more = self._defects.note(0, time.monotonic())
        if more is not None:
            log.error("%s: internal error%s", self._endpoint, more, exc_info=error)

    def received(self, message: bytes) -> None:
        """Log a message that an endpoint with `log_messages` has received; this is no event.

        Ten in a second; the next line has the number of those left out.
        """
        more = self._messages.note(time.monotonic())
        if more is None:
            return
        cut = " ..." if len(message) > _SHOWN else ""
        log.info(
            "Receive: %s%s%s",
            escape(message[:_SHOWN].rstrip(b"\n")),
            cut,
            more,
            extra={"fields": {"ENDPOINT": self._endpoint, "MESSAGE_ID": MESSAGE_RECEIVED}},
        )
