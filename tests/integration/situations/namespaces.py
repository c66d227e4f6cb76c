"""Clients and servers in network, mount and user namespaces."""

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.integration.situations.table import (
    situation,
)
from tests.integration.stage import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    NOBODY,
    STAFF,
    Asked,
    ClientProcess,
    Stage,
    become,
    become_root,
    enter_user_namespace,
    mount,
    unshare,
)

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


@situation(errno.ECONNREFUSED)
def a_socket_that_was_bound_below_an_overlay(stage: Stage) -> Asked:
    place = stage.folder("a")

    def prepare() -> None:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", place)
        for name in ("lower", "upper", "work", "merged"):
            (place / name).mkdir()
        layers = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
        stage.listener(place / "lower/s")
        mount("-t", "overlay", "-o", layers, "overlay", place / "merged")

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
