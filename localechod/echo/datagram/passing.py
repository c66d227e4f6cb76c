"""Reads datagrams with the descriptors that are passed with them, for Python to answer."""

import socket

from localechod.echo.passed import PassedDescriptors
from localechod.echo.portable.datagrams import (
    STAMPED,
    UNSTAMPED,
    Answered,
    Names,
    Renew,
    control,
)
from localechod.echo.portable.proof import Proof
from localechod.localsocket.rights import received


class DatagramReader:
    """Reads one datagram at a time; its descriptors have to be closed before the next.

    Args:
        passed: limits and closes descriptors.

    Attributes:
        receives: whether descriptors are received at all; otherwise the kernel closes them.
        descriptors: of the datagram that was read last.
        cut: more were passed with it.
    """

    def __init__(self, passed: PassedDescriptors) -> None:
        self._passed = passed
        self._uid = 0
        self.receives = False
        self.descriptors: list[int] = []
        self.cut = False

    def answer_datagrams(
        self,
        sock: socket.socket,
        _prefix: bytes,
        limit: int,
        _most: int,
        slack: int,
        _answered: Names,
        _at_once: int,
        _ours: Names,
        _proofs: dict[bytes, Proof],
        fresh: float,
        _renew: Renew,
    ) -> Answered:
        """See portable.datagrams.answer_datagrams."""
        size = UNSTAMPED if fresh < 0 else STAMPED
        space = 0
        try:
            if self.receives:
                # Whose it is decides whether its descriptors are received.
                _, ancillary, _, _ = sock.recvmsg(1, size, socket.MSG_PEEK)
                space = self._passed.space(control(ancillary)[0][1])
            message, ancillary, flags, sender = sock.recvmsg(
                limit + 1, size + space, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return 0, 0, 0, slack, (), ()
        except OSError as error:
            return 0, 0, 0, slack, [error.errno or 0], ()
        peer, sent_at = control(ancillary)
        self._uid, self.descriptors = peer[1], received(ancillary)
        self.cut = bool(flags & socket.MSG_CTRUNC)
        return 0, 0, 0, slack, (), [(message, peer, sender, sent_at)]

    def close(self) -> None:
        """Close the descriptors of the last datagram."""
        if self.descriptors:
            self._passed.close(self._uid, self.descriptors)
            self.descriptors = []
