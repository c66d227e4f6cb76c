"""Which connections are kept for a crash: the oldest, stored a few at a time, up to the limit."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator

import pytest

from localechod.echo.persist.crash_keep import BATCH, CrashKeeper
from localechod.echo.persist.crash_slots import BOUNDARY, Slot, Slots, format_memory, size

PLACES = 40


class SocketStore:
    """Records the calls; after `remove` a duplicate of the socket may still be open."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.is_busy = False
        self.held: dict[str, socket.socket] = {}
        self.told: list[str] = []

    def put(self, name: str, descriptor: int) -> None:
        self.held[name] = socket.socket(fileno=os.dup(descriptor))
        self.told.append(f"+{name.partition('@')[2]}")

    def remove(self, name: str) -> None:
        self.held.pop(name).close()
        self.told.append(f"-{name.partition('@')[2]}")


class Client:
    def __init__(self, name: str, since: float, uid: int) -> None:
        self.sock, self.peer = socket.socketpair()
        self.accepted_at, self.uid = since, uid
        self.slot: Slot | None = None
        self.name = name

    def attach_slot(self, slot: Slot | None) -> None:
        self.slot = slot
        if slot is not None:
            slot.describe(self.name, "line", 0)
            slot.mark(BOUNDARY)


def slot_of(client: Client) -> Slot:
    assert client.slot is not None
    return client.slot


class Crowd:
    """CrashKeeper, and its clients, at a time of the test's choosing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patch: pytest.MonkeyPatch) -> None:
        self.loop = loop
        self.now = 100.0
        patch.setattr(time, "monotonic", lambda: self.now)
        self.keeper = SocketStore(format_memory(bytearray(size(PLACES)), PLACES))
        self.clients: list[Client] = []
        self.crash_keeper = self.begin(PLACES)

    def end(self, client: Client) -> None:
        """What a connection does that ends."""
        if client.slot is not None:
            self.crash_keeper.leave(client)
        self.crash_keeper.forget(client)

    def begin(self, wanted: int, others: int = 0) -> CrashKeeper:
        self.crash_keeper = CrashKeeper(self.loop, self.keeper, wanted)
        self.crash_keeper.reserve(others)
        return self.crash_keeper

    def enter(self, name: str = "a", uid: int = 1000) -> Client:
        client = Client(name, self.now, uid)
        self.clients.append(client)
        self.crash_keeper.enter(client)
        return client

    def wait(self, seconds: float) -> None:
        """Let time pass, and the timer run if it is due."""
        self.now += seconds
        if self.crash_keeper._timer is not None:
            self.crash_keeper._timer.cancel()
            self.crash_keeper._keep()

    @property
    def waits(self) -> bool:
        return self.crash_keeper._timer is not None


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    loop = asyncio.new_event_loop()
    with pytest.MonkeyPatch.context() as patch:
        crowd = Crowd(loop, patch)
        yield crowd
    for sock in crowd.keeper.held.values():
        sock.close()
    for client in crowd.clients:
        client.sock.close()
        client.peer.close()
    loop.close()


def test_a_short_connection_is_never_kept_and_no_timer_is_left(crowd: Crowd) -> None:
    assert not crowd.waits
    client = crowd.enter()
    crowd.wait(0.9)
    assert crowd.waits
    crowd.end(client)
    crowd.wait(0.2)
    assert crowd.keeper.told == []
    assert not crowd.waits


def test_an_older_connection_is_kept_under_a_name_of_its_own(crowd: Crowd) -> None:
    clients = [crowd.enter("a"), crowd.enter("b")]
    crowd.wait(1.1)
    assert crowd.keeper.told == ["+a", "+b"]
    names = [slot_of(client).name for client in clients]
    assert list(crowd.keeper.held) == names
    assert len({name.partition("@")[0] for name in names}) == 2
    assert not crowd.waits


def test_many_connections_are_stored_a_few_at_a_time(crowd: Crowd) -> None:
    for _ in range(2 * BATCH + 1):
        crowd.enter()
    for held in (BATCH, 2 * BATCH, 2 * BATCH + 1):
        crowd.wait(1.1)
        assert len(crowd.keeper.held) == held
    assert not crowd.waits


def test_no_more_are_stored_while_the_store_is_busy(crowd: Crowd) -> None:
    crowd.enter("a")
    crowd.keeper.is_busy = True
    crowd.wait(1.1)
    assert crowd.keeper.told == []
    assert crowd.waits
    crowd.keeper.is_busy = False
    crowd.wait(0.3)
    assert crowd.keeper.told == ["+a"]


def test_at_the_limit_no_timer_waits_and_the_next_oldest_follows(crowd: Crowd) -> None:
    crowd.begin(2)
    clients = []
    for name in "abcd":
        clients.append(crowd.enter(name))
        crowd.now += 1
    crowd.wait(1.1)
    assert crowd.keeper.told == ["+a", "+b"]
    assert not crowd.waits
    crowd.end(clients[2])
    assert not crowd.waits
    crowd.end(clients[0])
    crowd.wait(0)
    assert crowd.keeper.told == ["+a", "+b", "-a", "+d"]


def test_a_kept_connection_that_closes_is_shut_down_and_its_slot_freed(crowd: Crowd) -> None:
    client = crowd.enter()
    crowd.wait(1.1)
    with socket.socket(fileno=os.dup(next(iter(crowd.keeper.held.values())).fileno())):
        crowd.end(client)
        client.sock.close()
        client.peer.settimeout(10)
        assert client.peer.recv(1) == b""  # although a duplicate is still open
    assert crowd.keeper.held == {}
    assert crowd.keeper.slots.records() == []


def test_with_a_limit_of_zero_no_connection_is_kept(crowd: Crowd) -> None:
    crowd.begin(0)
    client = crowd.enter()
    crowd.wait(1.1)
    crowd.end(client)
    assert crowd.keeper.told == []
    assert not crowd.crash_keeper._candidates


def test_endpoints_come_first(crowd: Crowd, caplog: pytest.LogCaptureFixture) -> None:
    crowd.begin(PLACES, others=1)
    assert (
        f"crash_keep = {PLACES}: beside 1 endpoints the store has space for {PLACES - 1}"
        in caplog.text
    )
    crowd.begin(5)
    for name in "abcdef":
        crowd.enter(name)
        crowd.now += 1
    crowd.wait(1.1)
    assert crowd.keeper.told == ["+a", "+b", "+c", "+d", "+e"]
    crowd.crash_keeper.reserve(PLACES - 3)
    assert crowd.keeper.told[5:] == ["-e", "-d"]
    crowd.crash_keeper.reserve(0)
    crowd.wait(0)
    assert crowd.keeper.told[7:] == ["+d", "+e"]


def test_more_endpoints_than_the_store_has_space_for_are_reported(
    crowd: Crowd, caplog: pytest.LogCaptureFixture
) -> None:
    crowd.begin(5, others=PLACES + 2)
    assert caplog.messages[-1] == (
        f"{PLACES + 2} endpoints are more than the {PLACES} for which systemd's descriptor store "
        "has space: a restart closes sockets and connections; raise FileDescriptorStoreMax= in "
        "the unit by 7 or more"
    )


def test_the_next_process_continues_with_its_connections_and_removes_the_others(
    crowd: Crowd,
) -> None:
    clients = [crowd.enter(name) for name in "abc"]
    crowd.wait(1.1)
    serials = [slot_of(client).serial for client in clients]
    crowd.keeper.told.clear()
    crowd.begin(2)
    for place in (2, 0):
        clients[place].slot = None
        clients[place].accepted_at = place
        crowd.crash_keeper.enter(clients[place])
        crowd.crash_keeper.resume(clients[place], serials[place])
    crowd.crash_keeper.all_resumed()
    assert crowd.keeper.told == ["-b"]
    assert [slot_of(clients[0]).serial, slot_of(clients[2]).serial] == [serials[0], serials[2]]
    crowd.crash_keeper.reserve(PLACES - 1)
    assert crowd.keeper.told == ["-b", "-c"]


def test_fewer_are_kept_where_the_next_process_wants_fewer(crowd: Crowd) -> None:
    client = crowd.enter()
    crowd.wait(1.1)
    serial, client.slot = slot_of(client).serial, None
    crowd.begin(0)
    crowd.crash_keeper.enter(client)
    crowd.crash_keeper.resume(client, serial)
    crowd.crash_keeper.all_resumed()
    assert crowd.keeper.told == ["+a", "-a"]
    client.peer.send(b"x")
    assert client.sock.recv(1) == b"x"  # it is still connected


def test_in_a_pause_no_connection_is_stored(crowd: Crowd) -> None:
    crowd.enter()
    crowd.crash_keeper.pause()
    assert not crowd.waits
    crowd.enter()
    assert not crowd.waits
    crowd.crash_keeper.unpause()
    crowd.wait(1.1)
    assert crowd.keeper.told == ["+a", "+a"]


def test_a_user_with_older_connections_takes_no_more_places_than_any_other(crowd: Crowd) -> None:
    crowd.begin(4)
    for name in "abcdef":
        crowd.enter(name, uid=1)
        crowd.now += 1
    crowd.wait(1.1)
    assert crowd.keeper.told == ["+a", "+b", "+c", "+d"]  # as long as nobody else wants one
    crowd.keeper.told.clear()
    assert not crowd.waits
    for name in "xyz":
        crowd.enter(name, uid=2)
        crowd.now += 1
    assert crowd.waits
    crowd.wait(1.1)
    assert crowd.keeper.told == ["-d", "+x", "-c", "+y"]
    assert not crowd.waits  # two each: no more changes
    for name in "qr":
        crowd.enter(name, uid=3)
    crowd.wait(1.1)
    assert crowd.keeper.told[4:] in (["-b", "+q"], ["-y", "+q"])
    assert not crowd.waits  # two, one and one


def test_a_place_that_is_free_goes_to_the_user_with_fewest(crowd: Crowd) -> None:
    crowd.begin(3)
    first = [crowd.enter(name, uid=1) for name in "abcd"]
    crowd.now += 1
    crowd.wait(1.1)
    crowd.enter("x", uid=2)
    crowd.enter("y", uid=2)
    crowd.wait(1.1)
    assert crowd.keeper.told == ["+a", "+b", "+c", "-c", "+x"]
    crowd.end(first[0])
    crowd.wait(0)
    assert crowd.keeper.told[5:] == ["-a", "+c"]  # one each, and the oldest has the next


def test_a_user_who_comes_and_goes_causes_a_few_changes_at_a_time(crowd: Crowd) -> None:
    for _ in range(PLACES):
        crowd.enter("a", uid=1)
    for _ in range(3):
        crowd.wait(1.1)
    crowd.keeper.told.clear()
    for _ in range(PLACES):
        crowd.enter("x", uid=2)
    crowd.wait(1.1)
    assert crowd.keeper.told == ["-a", "+x"] * BATCH
