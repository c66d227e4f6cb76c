"""The order in which calls begin: one in each round of the event loop, and users take turns."""

import asyncio
from collections import deque

from localechod.echo.precedence import Precedence


class Turns:
    """Lets calls begin one at a time.

    One read of the control socket may bring a dozen calls. asyncio would run them all before the
    endpoints are served again. A user with many calls would also keep all others waiting.
    """

    def __init__(self) -> None:
        self._precedence = Precedence()
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}
        self._scheduled = False

    async def wait(self, uid: int) -> None:
        """Return when it is a user's turn; traffic has been served since the turn before."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.setdefault(uid, deque()).append(turn)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._next)
        await turn

    def _next(self) -> None:
        """Let the next call begin."""
        begun = False
        while self._waiting and not begun:
            uid = self._precedence.choose(self._waiting)
            calls = self._waiting.pop(uid)
            turn = calls.popleft()
            if calls:
                self._waiting[uid] = calls  # behind all other users
            if not turn.cancelled():
                turn.set_result(None)
                begun = True
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._next)
