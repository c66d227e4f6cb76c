"""Which sockets talk to which, for lists that no test can bring about at will."""

import socket
from dataclasses import replace

import pytest

from localechod.localsocket.diag import STATE_ESTABLISHED, DiagSocket
from localechod.localsocket.pairs import Connection, connections
from tests.unit.explain_fakes import listener

LISTENER = listener(inode=1)
ACCEPTED = listener(inode=2, state=STATE_ESTABLISHED, peer=3, queue=5, has_peer=True)
CLIENT = replace(ACCEPTED, inode=3, peer=2, name=None, device=None, file_inode=None)


def inodes(each: Connection) -> tuple[int, int]:
    client, server = (end.inode if end else 0 for end in (each.client, each.server))
    return client, server


def one(*sockets: DiagSocket) -> Connection:
    (found,) = connections([sockets])
    return found


@pytest.mark.parametrize("order", [1, -1])
def test_the_end_with_the_listeners_name_is_the_servers(order: int) -> None:
    found = one(*[LISTENER, ACCEPTED, CLIENT][::order])
    assert (inodes(found), found.state, found.name) == ((3, 2), "accepted", LISTENER.name)
    assert found.listener == LISTENER


@pytest.mark.parametrize("order", [1, -1])
def test_a_client_may_have_a_name_of_its_own(order: int) -> None:
    client = replace(CLIENT, name=b"/run/client", device=1, file_inode=9)
    assert inodes(one(*[LISTENER, ACCEPTED, client][::order])) == (3, 2)
    # Without the listener, two sockets that it has accepted still share its name.
    other = replace(ACCEPTED, inode=4, peer=0, is_shut=True)
    assert (3, 2) in map(inodes, connections([[ACCEPTED, other, client][::order]]))


def test_ends_in_two_network_namespaces_belong_together() -> None:
    (found,) = connections([[LISTENER], [ACCEPTED, CLIENT]])
    assert (inodes(found), found.listener) == ((3, 2), LISTENER)
    (found,) = connections([[LISTENER, ACCEPTED]])
    assert inodes(found) == (3, 2)
    assert found.client is not None
    assert found.client.socket is None


def test_an_abstract_name_belongs_to_one_namespace() -> None:
    abstract = {"name": b"\0x", "device": None, "file_inode": None}
    theirs, ours = (replace(each, **abstract) for each in (LISTENER, ACCEPTED))  # type: ignore[arg-type]
    (found,) = connections([[theirs], [ours, CLIENT]])
    assert (found.state, found.listener) == ("accepted", None)


def test_a_client_in_line_is_told_from_one_that_has_gone() -> None:
    waiting = replace(CLIENT, peer=0)
    found = connections([[replace(LISTENER, pending=(3, 0)), waiting]])
    assert [(inodes(each), each.state) for each in found] == [
        ((3, 0), "waiting"),
        ((0, 0), "closed"),
    ]
    assert one(waiting).state == "waiting"  # its listener is in a namespace that was not searched
    assert one(replace(waiting, is_shut=True)).state == "closed"


def test_a_datagram_socket_is_the_server_of_all_that_connect_to_it() -> None:
    datagram = {"type": socket.SOCK_DGRAM, "state": 7, "has_peer": True}
    server = replace(LISTENER, type=socket.SOCK_DGRAM, state=7)
    first, second = (
        replace(CLIENT, inode=inode, peer=1, **datagram)  # type: ignore[arg-type]
        for inode in (3, 4)
    )
    found = connections([[server, first, second]])
    assert [(inodes(each), each.state) for each in found] == [
        ((3, 1), "connected"),
        ((4, 1), "connected"),
    ]
    mutual = replace(server, peer=3, has_peer=True)
    assert [each.state for each in connections([[mutual, first, second]])] == ["pair", "connected"]
    assert one(replace(first, peer=0)).state == "closed"
