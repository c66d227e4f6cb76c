"""Situations of a client, each with the errno that connect(2) returns in it.

It is longer than 400 lines, because it is one table: a row is a function that creates a situation.
"""

import errno
import os
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.integration.stage import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    DAC_OVERRIDE,
    DAC_READ_SEARCH,
    DAEMON,
    GAMES,
    GROUP,
    GROUP_OBJ,
    MASK,
    NOBODY,
    OTHER,
    STAFF,
    USER,
    USER_OBJ,
    Asked,
    ClientProcess,
    Stage,
    become,
    become_root,
    enter_user_namespace,
    mount,
    set_acl,
    unshare,
)

DGRAM, SEQPACKET, STREAM = socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM


@dataclass(frozen=True, slots=True)
class Situation:
    """One row of the table.

    Attributes:
        name: its name in the test's id.
        create: creates the situation, and returns the connect to make.
        number: the errno that connect(2) returns.
        unknowable: why the verdict of `explain` is unknown, or "".
    """

    name: str
    create: Callable[[Stage], Asked]
    number: int
    unknowable: str = ""


SITUATIONS: list[Situation] = []


def situation(
    number: int, unknowable: str = ""
) -> Callable[[Callable[[Stage], Asked]], Callable[[Stage], Asked]]:
    def enter(create: Callable[[Stage], Asked]) -> Callable[[Stage], Asked]:
        SITUATIONS.append(Situation(create.__name__, create, number, unknowable))
        return create

    return enter


# ---- owner, group, mode --------------------------------------------------------------------------

MODES = [  # mode, owner, group, client, the client's groups, errno
    (0o666, 0, 0, NOBODY, [], 0),
    (0o660, 0, STAFF, NOBODY, [], errno.EACCES),
    (0o660, 0, STAFF, NOBODY, [STAFF], 0),
    (0o660, 0, STAFF, GAMES, [NOBODY, STAFF], 0),
    (0o600, GAMES, 0, GAMES, [], 0),
    (0o600, GAMES, 0, NOBODY, [], errno.EACCES),
    (0o066, GAMES, 0, GAMES, [], errno.EACCES),  # the owner's bits apply, even if others have more
    (0o606, 0, STAFF, NOBODY, [STAFF], errno.EACCES),  # and so do the group's
    (0o606, 0, STAFF, NOBODY, [], 0),
    (0o222, 0, 0, NOBODY, [], 0),  # read permission is not needed
    (0o555, GAMES, 0, GAMES, [], errno.EACCES),
    (0o444, 0, 0, NOBODY, [], errno.EACCES),
    (0o000, GAMES, 0, 0, [], 0),  # root
]


def _of_mode(mode: int, uid: int, gid: int, client: int, groups: list[int], stage: Stage) -> Asked:
    stage.listener(mode=mode, uid=uid, gid=gid)
    if client == 0:
        return stage.ask(enter=lambda: None)
    return stage.ask(uid=client, groups=groups)


SITUATIONS += [
    Situation(
        f"mode_{mode:04o}_of_{uid}_{gid}_for_{client}_with_groups_{groups}",
        partial(_of_mode, mode, uid, gid, client, groups),
        number,
    )
    for mode, uid, gid, client, groups, number in MODES
]


@situation(errno.EACCES)
def root_without_its_capability(stage: Stage) -> Asked:
    stage.listener(mode=0o600, uid=GAMES)
    return stage.ask(enter=lambda: become(0))


@situation(0)
def an_ordinary_user_with_roots_capability(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o700) / "s", mode=0o600)
    return stage.ask("closed/s", enter=lambda: become(NOBODY, keep=DAC_OVERRIDE))


@situation(0)
def a_capability_that_opens_directories(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o700) / "s")
    return stage.ask("closed/s", enter=lambda: become(NOBODY, keep=DAC_READ_SEARCH))


@situation(errno.EACCES)
def a_capability_that_opens_directories_and_no_files(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o700) / "s", mode=0o600)
    return stage.ask("closed/s", enter=lambda: become(NOBODY, keep=DAC_READ_SEARCH))


# ---- access control lists ------------------------------------------------------------------------


@situation(0)
def an_acl_lets_a_user_in(stage: Stage) -> Asked:
    stage.listener(mode=0o660)
    acl = [(USER_OBJ, 6, -1), (USER, 6, NOBODY), (GROUP_OBJ, 6, -1), (MASK, 6, -1), (OTHER, 0, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask()


@situation(errno.EACCES)
def an_acl_keeps_a_user_out(stage: Stage) -> Asked:
    stage.listener(mode=0o666)
    acl = [(USER_OBJ, 6, -1), (USER, 4, NOBODY), (GROUP_OBJ, 6, -1), (MASK, 6, -1), (OTHER, 6, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask()


@situation(errno.EACCES)
def the_mask_of_an_acl_cuts_what_it_gives(stage: Stage) -> Asked:
    stage.listener(mode=0o660)
    acl = [(USER_OBJ, 6, -1), (USER, 6, NOBODY), (GROUP_OBJ, 6, -1), (MASK, 4, -1), (OTHER, 6, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask()


@situation(0)
def an_acl_lets_a_group_in(stage: Stage) -> Asked:
    stage.listener(mode=0o660)
    acl = [(USER_OBJ, 6, -1), (GROUP_OBJ, 0, -1), (GROUP, 2, STAFF), (MASK, 6, -1), (OTHER, 0, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask(groups=[STAFF])


@situation(errno.EACCES)
def an_acl_gives_others_more_than_a_group(stage: Stage) -> Asked:
    stage.listener(mode=0o660)
    acl = [(USER_OBJ, 6, -1), (GROUP_OBJ, 6, -1), (GROUP, 4, STAFF), (MASK, 6, -1), (OTHER, 6, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask(groups=[STAFF])


@situation(0)
def an_acl_without_any_bit_for_the_group_class_is_not_looked_at(stage: Stage) -> Asked:
    stage.listener(mode=0o606)
    acl = [(USER_OBJ, 6, -1), (USER, 0, NOBODY), (GROUP_OBJ, 0, -1), (MASK, 0, -1), (OTHER, 6, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask()


@situation(0)
def an_acl_opens_a_directory(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o710) / "s")
    acl = [(USER_OBJ, 7, -1), (USER, 1, NOBODY), (GROUP_OBJ, 0, -1), (MASK, 1, -1), (OTHER, 0, -1)]
    set_acl(stage.directory / "closed", *acl)
    return stage.ask("closed/s")


# ---- directories and links -----------------------------------------------------------------------


@situation(errno.EACCES)
def a_directory_without_the_x_bit(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o766) / "s")
    return stage.ask("closed/s")


@situation(0)
def a_directory_that_may_be_passed_and_not_read(stage: Stage) -> Asked:
    stage.listener(stage.folder("passage", 0o711) / "s")
    return stage.ask("passage/s")


@situation(errno.EACCES)
def a_closed_directory_hides_that_there_is_nothing(stage: Stage) -> Asked:
    stage.folder("closed", 0o700)
    return stage.ask("closed/nothing")


@situation(0)
def a_sticky_directory(stage: Stage) -> Asked:
    stage.listener(stage.folder("sticky", 0o1777) / "s")
    return stage.ask("sticky/s")


@situation(errno.ENOENT)
def a_directory_that_is_not_there(stage: Stage) -> Asked:
    return stage.ask("nowhere/s")


@situation(errno.ENOTDIR)
def a_file_where_a_directory_should_be(stage: Stage) -> Asked:
    (stage.directory / "file").touch()
    return stage.ask("file/s")


@situation(errno.ENOTDIR)
def a_slash_behind_the_socket(stage: Stage) -> Asked:
    stage.listener()
    return stage.ask(os.fsencode(stage.directory / "s") + b"/")


@situation(0)
def slashes_and_dots_in_the_path(stage: Stage) -> Asked:
    stage.folder("a")
    stage.listener()
    return stage.ask(os.fsencode(stage.directory) + b"//a/./../s")


@situation(errno.EACCES)
def dots_through_a_closed_directory(stage: Stage) -> Asked:
    stage.folder("closed", 0o700)
    stage.listener()
    return stage.ask("closed/../s")


@situation(0)
def a_link_to_the_socket(stage: Stage) -> Asked:
    stage.listener()
    (stage.directory / "link").symlink_to("s")
    return stage.ask("link")


@situation(0)
def a_link_to_the_directory(stage: Stage) -> Asked:
    stage.listener(stage.folder("a") / "s")
    (stage.directory / "link").symlink_to(stage.directory / "a")
    return stage.ask("link/s")


@situation(errno.EACCES)
def a_link_that_leads_through_a_closed_directory(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o700) / "s")
    (stage.directory / "link").symlink_to("closed/s")
    return stage.ask("link")


@situation(errno.ENOENT)
def a_link_to_nothing(stage: Stage) -> Asked:
    (stage.directory / "link").symlink_to("nothing")
    return stage.ask("link")


@situation(errno.ELOOP)
def two_links_to_each_other(stage: Stage) -> Asked:
    (stage.directory / "a").symlink_to("b")
    (stage.directory / "b").symlink_to("a")
    return stage.ask("a")


def _chain(stage: Stage, length: int) -> Asked:
    stage.listener("0")
    for number in range(length):
        (stage.directory / str(number + 1)).symlink_to(str(number))
    return stage.ask(str(length))


@situation(0)
def as_many_links_as_the_kernel_follows(stage: Stage) -> Asked:
    return _chain(stage, 40)


@situation(errno.ELOOP)
def one_link_more_than_the_kernel_follows(stage: Stage) -> Asked:
    return _chain(stage, 41)


@situation(errno.ENOTDIR)
def a_link_with_a_slash_behind_its_target(stage: Stage) -> Asked:
    stage.listener()
    (stage.directory / "link").symlink_to("s/")
    return stage.ask("link")


@situation(errno.ENAMETOOLONG)
def a_link_to_a_name_that_is_too_long(stage: Stage) -> Asked:
    (stage.directory / "link").symlink_to("x" * 300)
    return stage.ask("link")


# ---- names ---------------------------------------------------------------------------------------


@situation(errno.EINVAL)
def a_path_that_is_too_long(stage: Stage) -> Asked:
    return stage.ask(b"/tmp/" + b"x" * 104)


@situation(errno.ENOENT, unknowable="108 bytes: it depends on the client's language")
def a_path_without_room_for_its_nul(stage: Stage) -> Asked:
    return stage.ask(b"/tmp/" + b"x" * 103)


@situation(0)
def the_longest_path(stage: Stage) -> Asked:
    name = "x" * (106 - len(str(stage.directory)))
    stage.listener(name)
    return stage.ask(name)


@situation(0)
def a_name_with_a_newline_and_an_escape(stage: Stage) -> Asked:
    stage.listener("a\n\x1b[31mb")
    return stage.ask("a\n\x1b[31mb")


@situation(0)
def a_name_that_is_no_text(stage: Stage) -> Asked:
    stage.listener("\udcff\udcfe")
    return stage.ask("\udcff\udcfe")


@situation(0)
def a_relative_path(stage: Stage) -> Asked:
    stage.listener()

    def enter() -> None:
        os.chdir(stage.directory)
        become(NOBODY)

    return stage.ask(b"s", enter=enter)


@situation(0)
def a_relative_path_out_of_the_working_directory(stage: Stage) -> Asked:
    stage.listener()
    stage.folder("a/b")

    def enter() -> None:
        os.chdir(stage.directory / "a/b")
        become(NOBODY)

    return stage.ask(b"../../s", enter=enter)


# ---- what stands at the end ----------------------------------------------------------------------


@situation(errno.ENOENT)
def nothing(stage: Stage) -> Asked:
    return stage.ask("nothing")


@situation(errno.ECONNREFUSED)
def a_regular_file(stage: Stage) -> Asked:
    (stage.directory / "file").touch()
    (stage.directory / "file").chmod(0o666)
    return stage.ask("file")


@situation(errno.EACCES)
def a_regular_file_that_may_not_be_written(stage: Stage) -> Asked:
    (stage.directory / "file").touch(0o644)
    return stage.ask("file")


@situation(errno.ECONNREFUSED)
def a_fifo(stage: Stage) -> Asked:
    os.mkfifo(stage.directory / "fifo")
    (stage.directory / "fifo").chmod(0o666)
    return stage.ask("fifo")


@situation(errno.ECONNREFUSED)
def a_directory_of_ones_own(stage: Stage) -> Asked:
    stage.folder("a", 0o777)
    return stage.ask("a")


@situation(errno.EACCES)
def somebody_elses_directory(stage: Stage) -> Asked:
    stage.folder("a")
    return stage.ask("a")


@situation(errno.ECONNREFUSED)
def a_device(stage: Stage) -> Asked:
    return stage.ask(b"/dev/null")


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


# ---- network namespaces --------------------------------------------------------------------------


@situation(0)
def a_path_and_a_client_in_another_network_namespace(stage: Stage) -> Asked:
    stage.listener()
    return stage.ask(enter=lambda: unshare(CLONE_NEWNET))


def _in_another_network(stage: Stage) -> ClientProcess:
    def serve() -> None:
        unshare(CLONE_NEWNET)
        stage.listener()

    return stage.process(serve)


@situation(0)
def a_path_and_a_server_in_another_network_namespace(stage: Stage) -> Asked:
    _in_another_network(stage)
    return stage.ask()


@situation(errno.ECONNREFUSED)
def a_path_whose_server_in_another_network_namespace_has_ended(stage: Stage) -> Asked:
    server = _in_another_network(stage)
    server.stop()
    return stage.ask()


# ---- mount namespaces, bind mounts, other roots --------------------------------------------------


def _inside_mounts(prepare: Callable[[], None], then: Callable[[], None]) -> Callable[[], None]:
    def enter() -> None:
        unshare(CLONE_NEWNS)
        prepare()
        then()

    return enter


def _nobody() -> None:
    become(NOBODY)


@situation(errno.ENOENT)
def a_private_directory_hides_the_path(stage: Stage) -> Asked:
    stage.listener(stage.folder("a") / "s")
    hide = partial(mount, "-t", "tmpfs", "tmpfs", stage.directory / "a")
    return stage.ask("a/s", enter=_inside_mounts(hide, _nobody))


@situation(0)
def a_bind_mounted_socket_file(stage: Stage) -> Asked:
    stage.listener()
    (stage.directory / "t").touch()
    bind = partial(mount, "--bind", stage.directory / "s", stage.directory / "t")
    return stage.ask("t", enter=_inside_mounts(bind, _nobody))


@situation(errno.ECONNREFUSED)
def a_bind_mounted_socket_file_whose_server_has_bound_anew(stage: Stage) -> Asked:
    first = stage.listener()
    (stage.directory / "t").touch()
    bind = partial(mount, "--bind", stage.directory / "s", stage.directory / "t")
    asked = stage.ask("t", enter=_inside_mounts(bind, _nobody))
    first.close()
    (stage.directory / "s").unlink()
    stage.listener()
    return asked


@situation(0)
def a_bind_mounted_socket_file_that_was_deleted_and_is_served(stage: Stage) -> Asked:
    stage.listener()
    (stage.directory / "t").touch()
    bind = partial(mount, "--bind", stage.directory / "s", stage.directory / "t")
    asked = stage.ask("t", enter=_inside_mounts(bind, _nobody))
    (stage.directory / "s").unlink()
    return asked


@situation(0)
def a_bind_mounted_directory_whose_server_has_bound_anew(stage: Stage) -> Asked:
    first = stage.listener(stage.folder("a") / "s")
    stage.folder("b")
    bind = partial(mount, "--bind", stage.directory / "a", stage.directory / "b")
    asked = stage.ask("b/s", enter=_inside_mounts(bind, _nobody))
    first.close()
    (stage.directory / "a/s").unlink()
    stage.listener("a/s")
    return asked


@situation(0)
def a_mount_that_is_read_only(stage: Stage) -> Asked:
    stage.listener(stage.folder("a") / "s")

    def bind() -> None:
        mount("--bind", stage.directory / "a", stage.directory / "a")
        mount("-o", "remount,bind,ro", stage.directory / "a")

    return stage.ask("a/s", enter=_inside_mounts(bind, _nobody))


def _read_only(stage: Stage, make: Callable[[Path], object], name: str) -> Asked:
    place = stage.folder("a")

    def prepare() -> None:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", place)
        make(place)
        for each in place.iterdir():
            each.chmod(0o666)
        mount("-o", "remount,ro", place)

    return stage.ask(place / name, enter=_inside_mounts(prepare, _nobody))


@situation(0)
def a_file_system_that_is_read_only(stage: Stage) -> Asked:
    return _read_only(stage, lambda place: stage.listener(place / "s"), "s")


@situation(errno.EROFS)
def a_regular_file_on_a_read_only_file_system(stage: Stage) -> Asked:
    return _read_only(stage, lambda place: (place / "f").touch(), "f")


@situation(0)
def a_socket_on_an_overlay(stage: Stage) -> Asked:
    place = stage.folder("a")

    def prepare() -> None:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", place)
        for name in ("lower", "upper", "work", "merged"):
            (place / name).mkdir()
        layers = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
        mount("-t", "overlay", "-o", layers, "overlay", place / "merged")
        stage.listener(place / "merged/s")

    return stage.ask("a/merged/s", enter=_inside_mounts(prepare, _nobody))


def _into(root: Path) -> Callable[[], None]:
    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        become(NOBODY)

    return enter


@situation(0)
def a_client_in_a_chroot(stage: Stage) -> Asked:
    stage.listener(stage.folder("root/run") / "s")
    return stage.ask(b"/run/s", enter=_into(stage.directory / "root"))


@situation(errno.ENOENT)
def a_path_outside_of_the_chroot(stage: Stage) -> Asked:
    stage.listener()
    stage.folder("root")
    return stage.ask(enter=_into(stage.directory / "root"))


@situation(0)
def a_link_from_the_root_of_a_chroot_and_dots_above_it(stage: Stage) -> Asked:
    stage.listener(stage.folder("root/run") / "s")
    (stage.directory / "root/var").symlink_to("/../run")
    return stage.ask(b"/../../var/s", enter=_into(stage.directory / "root"))


# ---- user namespaces -----------------------------------------------------------------------------


def _root_of_its_own() -> None:
    """Become root in a new user namespace, whose ids from 0 on are ours from 100000 on."""
    enter_user_namespace("0 100000 1000")
    become_root()


@situation(0)
def root_of_a_container_and_its_own_users_socket(stage: Stage) -> Asked:
    stage.listener(mode=0o600, uid=100005, gid=100005)
    return stage.ask(enter=_root_of_its_own)


@situation(0)
def root_of_a_container_and_its_own_socket(stage: Stage) -> Asked:
    stage.listener(mode=0o600, uid=100000, gid=0)
    return stage.ask(enter=_root_of_its_own)


@situation(errno.EACCES)
def root_of_a_container_and_the_hosts_socket(stage: Stage) -> Asked:
    stage.listener(mode=0o600)
    return stage.ask(enter=_root_of_its_own)


@situation(errno.EACCES)
def root_of_a_container_and_a_socket_of_a_group_it_does_not_know(stage: Stage) -> Asked:
    stage.listener(mode=0o600, uid=100005, gid=STAFF)
    return stage.ask(enter=_root_of_its_own)


@situation(errno.EACCES)
def root_of_a_container_and_a_closed_directory_of_the_hosts(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o700) / "s")
    return stage.ask("closed/s", enter=_root_of_its_own)


# ---- as people have them -------------------------------------------------------------------------


@situation(errno.EACCES)
def docker_for_a_user_outside_of_its_group(stage: Stage) -> Asked:
    stage.listener("docker.sock", mode=0o660, gid=STAFF)
    return stage.ask("docker.sock", uid=GAMES)


@situation(0)
def docker_for_a_user_in_its_group(stage: Stage) -> Asked:
    stage.listener("docker.sock", mode=0o660, gid=STAFF)
    return stage.ask("docker.sock", uid=GAMES, groups=[STAFF])


@situation(errno.EACCES)
def containerd_for_an_ordinary_user(stage: Stage) -> Asked:
    stage.listener(stage.folder("containerd", 0o711) / "containerd.sock", mode=0o660)
    return stage.ask("containerd/containerd.sock")


@situation(0)
def containerd_for_root(stage: Stage) -> Asked:
    stage.listener(stage.folder("containerd", 0o711) / "containerd.sock", mode=0o660)
    return stage.ask("containerd/containerd.sock", enter=lambda: None)


@situation(0)
def postgresql_for_everybody(stage: Stage) -> Asked:
    directory = stage.folder("postgresql", 0o2775, DAEMON, STAFF)
    stage.listener(directory / ".s.PGSQL.5432", mode=0o777, uid=DAEMON, gid=STAFF)
    return stage.ask("postgresql/.s.PGSQL.5432")


@situation(errno.ENOENT)
def postgresql_on_another_port(stage: Stage) -> Asked:
    directory = stage.folder("postgresql", 0o2775, DAEMON, STAFF)
    stage.listener(directory / ".s.PGSQL.5432", mode=0o777, uid=DAEMON, gid=STAFF)
    return stage.ask("postgresql/.s.PGSQL.5433")


@situation(errno.EACCES)
def gunicorn_in_a_home_directory_for_the_web_server(stage: Stage) -> Asked:
    home = stage.folder("home/bob", 0o750, GAMES, GAMES)
    stage.listener(home / "app.sock", mode=0o777, uid=GAMES, gid=GAMES)
    return stage.ask("home/bob/app.sock", uid=DAEMON)


@situation(0)
def gunicorn_in_a_home_directory_for_its_group(stage: Stage) -> Asked:
    home = stage.folder("home/bob", 0o750, GAMES, GAMES)
    stage.listener(home / "app.sock", mode=0o777, uid=GAMES, gid=GAMES)
    return stage.ask("home/bob/app.sock", uid=DAEMON, groups=[GAMES])


@situation(errno.EACCES)
def systemds_private_socket_for_an_ordinary_user(stage: Stage) -> Asked:
    stage.listener(stage.folder("systemd") / "private", mode=0o600)
    return stage.ask("systemd/private")


@situation(0)
def a_passed_listener_whose_service_is_not_started_yet(stage: Stage) -> Asked:
    listener = stage.listener()
    subprocess_ = subprocess.Popen(["sleep", "60"], pass_fds=[listener.fileno()])
    stage.stack.callback(subprocess_.wait)
    stage.stack.callback(subprocess_.kill)
    listener.close()
    return stage.ask()
