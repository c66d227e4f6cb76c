"""Clients by user, each user's in the order of their age."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Aged(Protocol):
    """A connection, as far as it is sorted here.

    Attributes:
        accepted_at: when it was accepted, in monotonic seconds.
        uid: the user.
    """

    accepted_at: float
    uid: int


T = TypeVar("T", bound=Aged)


class ByUser(Generic[T]):
    """A set of clients. Only `most`, `users` and `sort` take longer the more users there are."""

    def __init__(self) -> None:
        # A plain dict would search for its first entry among all that were removed before it.
        self._users: dict[int, OrderedDict[T, None]] = {}
        self._count = 0
        self._most: int | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        for clients in self._users.values():
            yield from clients

    def add(self, client: T, *, oldest: bool = False) -> None:
        """Add the youngest of its user, or the oldest."""
        clients = self._users.setdefault(client.uid, OrderedDict())
        clients[client] = None
        if oldest:
            clients.move_to_end(client, last=False)
        self._count += 1
        self._most = None

    def discard(self, client: T) -> None:
        """Remove a client, if it is here."""
        clients = self._users.get(client.uid)
        if clients is None or client not in clients:
            return
        del clients[client]
        if not clients:
            del self._users[client.uid]
        self._count -= 1
        self._most = None

    def count(self, uid: int) -> int:
        """Return the number of a user's clients."""
        return len(self._users.get(uid, ()))

    @property
    def most(self) -> int:
        """The number of clients of the user who has most."""
        if self._most is None:
            self._most = max(map(len, self._users.values()), default=0)
        return self._most

    def users(self) -> Iterator[tuple[int, T]]:
        """Return the users, each with the oldest client."""
        return ((uid, next(iter(clients))) for uid, clients in self._users.items())

    def oldest(self, uid: int) -> T | None:
        """Return a user's oldest client; None if they have none."""
        return next(iter(self._users.get(uid, ())), None)

    def youngest_of_most(self) -> T:
        """Return the youngest client of the user who has most.

        Raises:
            ValueError: it is empty.
        """
        return next(reversed(self._users[max(self._users, key=self.count)]))

    def sort(self) -> None:
        """Sort each user's clients by their age."""
        for clients in self._users.values():
            for client in sorted(clients, key=lambda client: client.accepted_at):
                clients.move_to_end(client)
