"""Proven senders: the owner of the socket that has an abstract name now, and nobody's otherwise."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from localechod.echo.datagram import proven_senders as module
from localechod.echo.datagram.proof_budget import ProofBudget
from localechod.echo.datagram.proven_senders import NO_USER, ProvenSenders
from localechod.localsocket import diag
from tests.integration.harness import needs_root
from tests.unit.elsewhere import far_server

ME = os.geteuid()
PID = os.getpid()
MANY = 1 << 20
UNPROVEN = "unproven_sender"


class Clock:
    """Monotonic seconds that pass when the test says so, and by each list."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class World:
    """An endpoint, and its senders' proofs."""

    def __init__(self, sock: socket.socket, stack: ExitStack, ceiling: int = MANY) -> None:
        self.sock, self.stack, self.clock = sock, stack, Clock()
        self.lists = self.questions = 0
        self.loop = asyncio.new_event_loop()
        stack.callback(self.loop.close)
        self.budget = ProofBudget()
        self.senders = ProvenSenders(sock, self.loop, ceiling, self.budget, self.clock)
        stack.callback(self.senders.close)

    def client(self, name: bytes = b"", *, connected: bool = False) -> socket.socket:
        sock = self.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        sock.bind(name)
        if connected:
            sock.connect(self.sock.getsockname())
        return sock

    def refusal(self, name: bytes, uid: int = ME, pid: int = PID) -> str:
        self.senders.begin([name])
        return self.senders.refusal(name, pid, uid)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def world(sockdir: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> World:
    sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    sock.bind(str(sockdir / "server"))
    world = World(sock, stack)
    request, question = diag.datagrams_named, diag.of_inode

    def asked(inode: int) -> diag.DiagSocket:
        world.questions += 1
        world.clock.now += 0.001
        return question(inode)

    def counted(names: set[bytes]) -> dict[bytes, bytes]:
        world.lists += 1
        world.clock.now += 0.01
        return request(names)

    monkeypatch.setattr(diag, "datagrams_named", counted)
    monkeypatch.setattr(diag, "of_inode", asked)
    return world


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("connected", [False, True])
def test_the_owner_alone_is_answered(world: World, *, connected: bool) -> None:
    name = world.client(connected=connected).getsockname()
    assert world.refusal(name, ME + 1) == UNPROVEN
    assert world.refusal(name) == ""
    assert world.refusal(name, ME + 1) == UNPROVEN
    assert world.lists == connected


def test_a_name_without_a_socket_is_gone(world: World) -> None:
    client = world.client()
    name = client.getsockname()
    assert world.refusal(name) == ""
    client.close()
    assert world.refusal(name) == "receiver_gone"


def test_the_probe_receives_nothing(world: World) -> None:
    client = world.client()
    assert world.refusal(client.getsockname()) == ""
    (probe,) = world.senders._probes.values()
    with pytest.raises(BrokenPipeError):
        client.sendto(b"x", probe.getsockname())


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("then", [False, True])
def test_a_name_that_has_passed_to_another_socket_is_proven_anew(
    world: World, *, first: bool, then: bool
) -> None:
    client = world.client(connected=first)
    name = client.getsockname()
    assert world.refusal(name) == ""
    before = world.senders.proofs[name]
    client.close()
    world.client(name, connected=then)
    world.clock.now += 1  # the proof of a connected client has ended by then
    assert world.refusal(name) == ""
    assert world.senders.proofs[name] is not before


def test_one_list_proves_all_connected_clients_of_a_batch(world: World) -> None:
    names = [world.client(connected=True).getsockname() for _ in range(20)]
    world.senders.begin(names)
    assert {world.senders.refusal(name, PID, ME) for name in names} == {""}
    assert world.lists == 1


def test_a_few_connected_clients_take_no_second_list_until_one_closes(world: World) -> None:
    clients = [world.client(connected=True) for _ in range(3)]
    names = [client.getsockname() for client in clients]
    world.senders.begin(names)
    for _ in range(3):
        assert {world.senders.refusal(name, PID, ME) for name in names} == {""}
        world.clock.now += 1
    assert world.lists == 1
    clients[0].close()
    world.client(names[0], connected=True)
    assert world.refusal(names[0]) == ""
    assert world.lists == 2


def test_a_list_renews_the_proofs_of_more_clients_than_questions_would_be_cheaper_for(
    world: World,
) -> None:
    names = [world.client(connected=True).getsockname() for _ in range(12)]
    world.senders.begin(names)
    for _ in range(3):
        assert {world.senders.refusal(name, PID, ME) for name in names} == {""}
        world.clock.now += 1
    # A question takes a millisecond here, a list ten; the first question is for our own socket.
    assert (world.lists, world.questions) == (3, 2)
    world.budget.take(ME, 100.0, world.clock.now)
    assert {world.refusal(name) for name in names} == {""}
    assert (world.lists, world.questions) == (3, 14)


def test_a_list_keeps_the_proofs_of_the_sockets_that_are_still_there(world: World) -> None:
    clients = [world.client(connected=True) for _ in range(12)]
    names = [client.getsockname() for client in clients]
    world.senders.begin(names)
    assert {world.senders.refusal(name, PID, ME) for name in names} == {""}
    before = dict(world.senders.proofs)
    clients[3].close()
    world.client(names[3], connected=True)
    world.clock.now += 1
    world.senders.begin(names)
    assert {world.senders.refusal(name, PID, ME) for name in names} == {""}
    assert world.lists == 2
    anew = [name for name in names if world.senders.proofs[name] is not before[name]]
    assert anew == [names[3]]


def test_one_list_renews_the_proofs_of_all_for_the_compiled_part(world: World) -> None:
    names = [world.client(connected=True).getsockname() for _ in range(12)]
    world.senders.begin(names)
    for _ in range(2):  # the second time asks, so that both prices are known
        assert {world.senders.refusal(name, PID, ME) for name in names} == {""}
        world.clock.now += 1
    world.senders.has_listed, world.senders.seconds, lists = False, 0.0, world.lists
    world.senders.renew(names[0], ME)
    assert (world.lists - lists, world.senders.has_listed) == (1, True)
    assert world.senders.seconds == pytest.approx(0.01)
    assert all(world.senders.proofs[name].until > world.clock.now for name in names)


def test_a_check_of_a_connected_client_is_good_for_a_millisecond(world: World) -> None:
    client = world.client(connected=True)
    name = client.getsockname()
    assert world.refusal(name) == ""
    client.close()
    world.clock.now += 0.0009
    assert world.refusal(name) == ""
    world.clock.now += 1
    assert world.refusal(name) == "receiver_gone"


def test_an_unconnected_client_is_checked_for_each_datagram(world: World) -> None:
    client = world.client()
    name = client.getsockname()
    assert world.refusal(name) == ""
    assert world.refusal(name) == ""
    client.close()
    assert world.refusal(name) == "receiver_gone"


def waits_after_proofs(world: World, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Have this process lose the processor after each of the next proofs, until they have ended."""
    prove, left = world.senders._prove, [None] * times

    def wait_after(name: bytes, uid: int) -> None:
        prove(name, uid)
        if left:
            left.pop()
            world.clock.now += 1

    monkeypatch.setattr(world.senders, "_prove", wait_after)


@pytest.mark.parametrize("is_renewed", [False, True])
def test_a_proof_that_ends_before_its_use_is_made_again(
    world: World, monkeypatch: pytest.MonkeyPatch, *, is_renewed: bool
) -> None:
    name = world.client(connected=True).getsockname()
    if is_renewed:
        assert world.refusal(name) == ""
        world.clock.now += 1
    waits_after_proofs(world, monkeypatch, 2)
    assert world.refusal(name) == ""
    assert world.refusal(name, ME + 1) == UNPROVEN


def test_a_proof_that_always_ends_before_its_use_is_not_made_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = world.client(connected=True).getsockname()
    waits_after_proofs(world, monkeypatch, 100)
    assert world.refusal(name) == UNPROVEN


def test_a_user_causes_lists_for_a_quarter_of_the_time_and_others_are_proven_still(
    world: World,
) -> None:
    for _ in range(1000):
        with world.client(connected=True) as client:
            world.refusal(client.getsockname(), ME + 1)
    assert 50 <= world.lists < 100
    refused = world.client(connected=True).getsockname()
    assert world.refusal(refused, ME + 1) == UNPROVEN
    assert world.refusal(refused) == ""
    lists, world.clock.now = world.lists, world.clock.now + 1
    for _ in range(1000):
        with world.client(connected=True) as client:
            world.refusal(client.getsockname(), ME + 1)
    assert 25 <= world.lists - lists < 50


def test_probes_and_connected_names_are_bounded(world: World) -> None:
    before = open_descriptors()
    for _ in range(2 * module._MOST):
        with world.client() as client:
            assert world.refusal(client.getsockname()) == ""
    assert len(world.senders.proofs) == module._MOST
    assert open_descriptors() == before + module._MOST
    world.senders.close()
    assert open_descriptors() == before - 1


def test_a_batch_takes_one_list_however_many_were_proven_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 32)
    for lists in range(1, 5):
        names = [world.client(connected=True).getsockname() for _ in range(32)]
        world.senders.begin(names)
        assert {world.senders.refusal(name, PID, ME) for name in names} == {""}
        assert world.lists == lists
    assert len(world.senders.proofs) == 32


def test_reserved_descriptors_are_given_back(world: World) -> None:
    world.senders._ceiling = 0
    for _ in range(3):
        assert world.refusal(world.client().getsockname()) == ""
    assert len(world.senders.proofs) == 1


def test_a_sender_whose_user_is_unknown_is_not_proven(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "identifies", lambda _uid: True)
    monkeypatch.setattr(module, "NO_USER", ME)
    name = world.client().getsockname()
    assert world.refusal(name, pid=0) == UNPROVEN
    assert world.refusal(name) == ""
    monkeypatch.setattr(module, "identifies", lambda _uid: False)
    assert world.refusal(world.client().getsockname()) == UNPROVEN
    assert NO_USER == 65534


def test_without_unix_diag_nothing_is_proven(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(diag, "_query", fails)
    monkeypatch.setattr(diag, "datagrams_named", fails)
    for connected in (False, True):
        assert world.refusal(world.client(connected=connected).getsockname()) == UNPROVEN
    assert not world.senders.proofs


@needs_root
def test_an_endpoint_of_another_network_namespace_proves_nothing(
    world: World, sockdir: Path
) -> None:
    with far_server(sockdir / "far") as sock, ExitStack() as stack:
        far = World(sock, stack)
        assert far.refusal(world.client().getsockname()) == UNPROVEN


def test_proofs_that_have_ended_are_forgotten(world: World) -> None:
    assert world.refusal(world.client().getsockname()) == ""
    world.clock.now += module._END
    world.senders._forget_ended()
    assert not world.senders.proofs
    assert world.senders._sweep is None
