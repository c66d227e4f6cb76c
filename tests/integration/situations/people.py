"""Servers as people have them."""

import errno
import subprocess

from tests.integration.situations.table import (
    situation,
)
from tests.integration.stage import (
    DAEMON,
    GAMES,
    STAFF,
    Asked,
    Stage,
)


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
