"""Situations of paths through /proc/PID: root, cwd and fd/*, each with connect(2)'s errno."""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

from tests.integration.situations.table import situation
from tests.integration.stage import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    DAC_OVERRIDE,
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

SYS_PTRACE = 1 << 19


def _container(stage: Stage, then: Callable[[], None] = lambda: None) -> ClientProcess:
    """Start a server that listens below a mount of its own; outside, there is no such file."""
    inside = stage.folder("inside")

    def enter() -> None:
        unshare(CLONE_NEWNS)
        mount("-t", "tmpfs", "none", inside)
        stage.listener("inside/s")
        os.chdir(inside)
        then()

    return stage.process(enter)


def _root(server: ClientProcess, stage: Stage) -> bytes:
    return os.fsencode(f"/proc/{server.pid}/root{stage.directory}/inside/s")


@situation(0)
def the_root_of_a_process_in_another_mount_namespace(stage: Stage) -> Asked:
    return stage.ask(_root(_container(stage), stage), enter=lambda: None)


@situation(errno.ENOENT)
def the_same_path_without_that_root(stage: Stage) -> Asked:
    _container(stage)
    return stage.ask("inside/s", enter=lambda: None)


@situation(errno.ENOENT)
def a_name_that_is_missing_below_the_root_of_a_process(stage: Stage) -> Asked:
    return stage.ask(_root(_container(stage), stage) + b"x", enter=lambda: None)


@situation(0)
def the_working_directory_of_a_process(stage: Stage) -> Asked:
    server = _container(stage)
    return stage.ask(b"/proc/%d/cwd/s" % server.pid, enter=lambda: None)


@situation(0)
def a_directory_above_the_working_directory_of_a_process(stage: Stage) -> Asked:
    server = _container(stage)
    return stage.ask(b"/proc/%d/cwd/../inside/s" % server.pid, enter=lambda: None)


@situation(0)
def a_thread_of_a_process(stage: Stage) -> Asked:
    server = _container(stage)
    return stage.ask(b"/proc/%d/task/%d/cwd/s" % (server.pid, server.pid), enter=lambda: None)


@situation(0)
def a_descriptor_of_a_directory(stage: Stage) -> Asked:
    inside = stage.folder("inside")
    stage.listener("inside/s")
    descriptor = os.open(inside, os.O_PATH)
    stage.stack.callback(os.close, descriptor)
    return stage.ask(b"/proc/%d/fd/%d/s" % (os.getpid(), descriptor), enter=lambda: None)


@situation(0)
def a_link_to_the_root_of_a_process(stage: Stage) -> Asked:
    server = _container(stage)
    Path(stage.directory / "link").symlink_to(f"/proc/{server.pid}/cwd")
    return stage.ask("link/s", enter=lambda: None)


@situation(0)
def the_root_of_a_process_below_another_root(stage: Stage) -> Asked:
    stage.folder("inside")
    server = _container_root(stage)
    return stage.ask(b"/proc/%d/root/s" % server.pid, enter=lambda: None)


def _container_root(stage: Stage) -> ClientProcess:
    def enter() -> None:
        stage.listener("inside/s")
        os.chroot(stage.directory / "inside")

    return stage.process(enter)


@situation(errno.EACCES)
def the_root_of_another_users_process(stage: Stage) -> Asked:
    return stage.ask(_root(_container(stage), stage))


@situation(errno.EACCES)
def a_capability_for_files_inspects_no_process(stage: Stage) -> Asked:
    name = _root(_container(stage), stage)
    return stage.ask(name, enter=lambda: become(NOBODY, keep=DAC_OVERRIDE))


@situation(0)
def a_capability_that_inspects_processes(stage: Stage) -> Asked:
    name = _root(_container(stage), stage)
    return stage.ask(name, enter=lambda: become(NOBODY, keep=SYS_PTRACE))


@situation(errno.EACCES)
def root_without_capabilities_and_a_process_that_has_them(stage: Stage) -> Asked:
    return stage.ask(_root(_container(stage), stage), enter=lambda: become(0))


def _dumpable(dumpable: int) -> None:
    ctypes.CDLL(None).prctl(4, dumpable, 0, 0, 0)  # PR_SET_DUMPABLE


def _own(dumpable: int) -> Callable[[], None]:
    def then() -> None:
        become(NOBODY)
        _dumpable(dumpable)

    return then


@situation(0)
def the_root_of_a_process_of_the_same_user(stage: Stage) -> Asked:
    return stage.ask(_root(_container(stage, _own(1)), stage))


@situation(errno.EACCES)
def the_root_of_a_process_that_cannot_be_inspected(stage: Stage) -> Asked:
    return stage.ask(_root(_container(stage, _own(0)), stage))


@situation(errno.EACCES)
def the_same_user_with_another_group(stage: Stage) -> Asked:
    name = _root(_container(stage, _own(1)), stage)
    return stage.ask(name, enter=lambda: become(NOBODY, gid=STAFF))


@situation(0)
def the_root_of_a_process_in_a_user_namespace(stage: Stage) -> Asked:
    def then() -> None:
        become(NOBODY)
        unshare(CLONE_NEWUSER)

    return stage.ask(_root(_container(stage, then), stage), enter=lambda: None)


@situation(errno.EACCES)
def root_of_a_user_namespace_and_a_process_outside(stage: Stage) -> Asked:
    name = _root(_container(stage, _own(1)), stage)

    def enter() -> None:
        enter_user_namespace("0 100000 65536")
        become_root()

    return stage.ask(name, enter=enter)
