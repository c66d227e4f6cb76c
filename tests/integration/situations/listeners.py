"""Sockets that listen, or do not, by path and by abstract name."""

import errno
import os
import socket

from tests.integration.situations.table import (
    DGRAM,
    SEQPACKET,
    STREAM,
    situation,
)
from tests.integration.stage import (
    CLONE_NEWNET,
    Asked,
    Stage,
    unshare,
)

# ---- what listens --------------------------------------------------------------------------------


@situation(errno.ECONNREFUSED)
def a_stale_file(stage: Stage) -> Asked:
    stage.stale()
    return stage.ask()


@situation(errno.EACCES)
def a_stale_file_that_may_not_be_written(stage: Stage) -> Asked:
    stage.stale(mode=0o600)
    return stage.ask()


@situation(errno.ECONNREFUSED)
def a_stale_file_for_a_datagram(stage: Stage) -> Asked:
    stage.stale()
    return stage.ask(kind=DGRAM)


@situation(errno.ECONNREFUSED)
def bound_and_not_listening_yet(stage: Stage) -> Asked:
    stage.bind()
    return stage.ask()


@situation(errno.EPROTOTYPE)
def bound_not_listening_and_of_another_type(stage: Stage) -> Asked:
    stage.bind()
    return stage.ask(kind=SEQPACKET)


@situation(errno.ECONNREFUSED)
def shut_down_and_not_closed(stage: Stage) -> Asked:
    stage.listener().shutdown(socket.SHUT_RD)
    return stage.ask()


@situation(errno.ECONNREFUSED)
def nobody_listens_any_more_and_connections_are_left(stage: Stage) -> Asked:
    listener = stage.listener()
    for _ in range(2):
        client = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(listener.getsockname())
        stage.stack.enter_context(listener.accept()[0])
    listener.close()
    return stage.ask()


@situation(
    errno.ECONNREFUSED,
    unknowable="one connection, asked for with another type: bound itself, or accepted?",
)
def one_connection_is_left_of_another_type(stage: Stage) -> Asked:
    listener = stage.listener()
    client = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(listener.getsockname())
    stage.stack.enter_context(listener.accept()[0])
    listener.close()
    return stage.ask(kind=DGRAM)


@situation(0)
def a_listener_with_connections(stage: Stage) -> Asked:
    listener = stage.listener()
    client = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(listener.getsockname())
    stage.stack.enter_context(listener.accept()[0])
    return stage.ask()


@situation(errno.EPROTOTYPE)
def a_datagram_to_a_stream_socket(stage: Stage) -> Asked:
    stage.listener()
    return stage.ask(kind=DGRAM)


@situation(errno.EPROTOTYPE)
def a_stream_to_a_datagram_socket(stage: Stage) -> Asked:
    stage.bind(kind=DGRAM)
    return stage.ask()


@situation(errno.EPROTOTYPE)
def a_stream_to_a_seqpacket_socket(stage: Stage) -> Asked:
    stage.listener(kind=SEQPACKET)
    return stage.ask()


@situation(0)
def a_datagram_socket(stage: Stage) -> Asked:
    stage.bind(kind=DGRAM)
    return stage.ask(kind=DGRAM)


@situation(0)
def a_datagram_socket_with_clients(stage: Stage) -> Asked:
    server = stage.bind(kind=DGRAM)
    client = stage.stack.enter_context(socket.socket(socket.AF_UNIX, DGRAM))
    client.connect(server.getsockname())
    return stage.ask(kind=DGRAM)


@situation(0)
def a_seqpacket_listener(stage: Stage) -> Asked:
    stage.listener(kind=SEQPACKET)
    return stage.ask(kind=SEQPACKET)


@situation(errno.EPERM)
def a_datagram_socket_that_is_connected_to_somebody_else(stage: Stage) -> Asked:
    other = stage.bind("other", kind=DGRAM)
    stage.bind(kind=DGRAM).connect(other.getsockname())
    return stage.ask(kind=DGRAM)


@situation(errno.EPERM)
def a_datagram_socket_whose_peer_has_gone(stage: Stage) -> Asked:
    other = stage.bind("other", kind=DGRAM)
    stage.bind(kind=DGRAM).connect(other.getsockname())
    other.close()
    return stage.ask(kind=DGRAM)


def _waiting(stage: Stage, kind: int, clients: int) -> Asked:
    listener = stage.listener(kind=kind, backlog=3)
    for _ in range(clients):
        client = stage.stack.enter_context(socket.socket(socket.AF_UNIX, kind))
        client.connect(listener.getsockname())
    return stage.ask(kind=kind)


@situation(errno.EAGAIN)
def a_full_backlog(stage: Stage) -> Asked:
    return _waiting(stage, STREAM, 4)


@situation(0)
def a_backlog_with_room_for_one(stage: Stage) -> Asked:
    return _waiting(stage, STREAM, 3)


@situation(errno.EAGAIN)
def a_full_backlog_of_records(stage: Stage) -> Asked:
    return _waiting(stage, SEQPACKET, 4)


@situation(0)
def a_renamed_socket(stage: Stage) -> Asked:
    stage.listener()
    (stage.directory / "s").rename(stage.directory / "t")
    return stage.ask("t")


@situation(0)
def a_second_name_of_the_same_file(stage: Stage) -> Asked:
    stage.listener()
    os.link(stage.directory / "s", stage.directory / "t")
    return stage.ask("t")


@situation(errno.ENOENT)
def a_server_whose_file_was_deleted(stage: Stage) -> Asked:
    stage.listener()
    (stage.directory / "s").unlink()
    return stage.ask()


@situation(errno.ECONNREFUSED)
def a_server_whose_file_was_replaced_by_a_stale_one(stage: Stage) -> Asked:
    stage.listener()
    stage.stale("other")
    (stage.directory / "other").rename(stage.directory / "s")
    return stage.ask()


# ---- abstract names ------------------------------------------------------------------------------


def _abstract(stage: Stage, kind: int = STREAM, tail: bytes = b"") -> tuple[socket.socket, bytes]:
    sock = stage.stack.enter_context(socket.socket(socket.AF_UNIX, kind))
    name = b"\0" + stage.directory.name.encode() + tail
    sock.bind(name)
    return sock, name


@situation(0)
def an_abstract_listener(stage: Stage) -> Asked:
    listener, name = _abstract(stage)
    listener.listen()
    return stage.ask(name)


@situation(0)
def an_abstract_name_with_newlines_and_nuls(stage: Stage) -> Asked:
    listener, name = _abstract(stage, tail=b"\n\0x\n")
    listener.listen()
    return stage.ask(name)


@situation(errno.ECONNREFUSED)
def an_abstract_name_that_nobody_has(stage: Stage) -> Asked:
    return stage.ask(b"\0" + stage.directory.name.encode())


@situation(errno.ECONNREFUSED)
def an_abstract_name_of_another_type(stage: Stage) -> Asked:
    _, name = _abstract(stage, DGRAM)
    return stage.ask(name)


@situation(0)
def an_abstract_name_of_two_types(stage: Stage) -> Asked:
    listener, name = _abstract(stage)
    listener.listen()
    _abstract(stage, DGRAM)
    return stage.ask(name, kind=DGRAM)


@situation(errno.ECONNREFUSED)
def an_abstract_socket_that_does_not_listen(stage: Stage) -> Asked:
    _, name = _abstract(stage)
    return stage.ask(name)


@situation(0)
def the_longest_abstract_name(stage: Stage) -> Asked:
    length = 107 - len(stage.directory.name)
    listener, name = _abstract(stage, tail=b"x" * length)
    listener.listen()
    return stage.ask(name)


@situation(errno.EINVAL)
def an_abstract_name_that_is_too_long(stage: Stage) -> Asked:
    return stage.ask(b"\0" + b"x" * 108)


@situation(errno.ECONNREFUSED)
def an_abstract_name_of_another_network_namespace(stage: Stage) -> Asked:
    listener, name = _abstract(stage)
    listener.listen()
    return stage.ask(name, enter=lambda: unshare(CLONE_NEWNET))
