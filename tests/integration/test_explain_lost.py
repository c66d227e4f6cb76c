"""A path that leads to no listener, while one lives: what `explain` says, and what then helps."""

import errno
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from localechod.explain.check import Check
from localechod.explain.client import of_process
from localechod.explain.facts import Question
from localechod.explain.lost import Lost
from localechod.explain.lost_checks import check_lost
from localechod.explain.report import Report, explain
from localechod.explain.units import SocketUnit
from tests.integration.harness import needs_all_namespaces, needs_root
from tests.integration.stage import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    NOBODY,
    ClientProcess,
    Stage,
    become,
    become_root,
    enter_user_namespace,
    mount,
    unshare,
)

pytestmark = needs_root


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def check_of(report: Report, name: str) -> Check:
    """Return the problem of this kind."""
    return next(each for each in report.checks if (each.name, each.result) == (name, "problem"))


def test_a_mount_of_a_removed_directory_is_told_from_a_server_that_is_not_there(
    stage: Stage,
) -> None:
    source, point = stage.folder("run"), stage.folder("inside")

    def enter() -> None:
        unshare(CLONE_NEWNS)
        mount("--bind", source, point)

    stage.listener("run/s")
    asked = stage.ask("inside/s", enter=enter)
    assert (asked.kernel(), asked.explain().verdict.number) == (0, 0)
    shutil.rmtree(source)
    gone = asked.explain()
    assert gone.verdict.remedy.text.startswith("start the server, which makes the directory; then")
    stage.folder("run")
    stage.listener("run/s")
    report = asked.explain()
    assert asked.kernel() == report.verdict.number == errno.ENOENT
    assert "a directory that was removed at its source" in check_of(report, "mount").detail
    remedy = report.verdict.remedy
    assert remedy.text == "restart the client's container, which mounts it anew"
    assert (remedy.commands, len(remedy.caveats)) == ((), 1)
    again = stage.ask("inside/s", enter=enter)
    assert (again.kernel(), again.explain().verdict.number) == (0, 0)


def served(stage: Stage, enter: Callable[[], None], path: str = "a/s") -> ClientProcess:
    """Start a server that sees what `enter` makes, and listens."""

    def serve() -> None:
        enter()
        stage.listener(path)

    return stage.process(serve)


def test_a_server_whose_file_was_removed_is_to_be_restarted(stage: Stage) -> None:
    server = served(stage, lambda: None, "s")
    (stage.directory / "s").unlink()
    asked = stage.ask()
    report = asked.explain()
    assert asked.kernel() == report.verdict.number == errno.ENOENT
    detail = check_of(report, "elsewhere").detail
    assert f"({server.pid}, root" in detail
    assert "its file is not at this path: it was removed" in detail
    assert f"({server.pid}), if it is the server" in report.verdict.remedy.text


@pytest.mark.parametrize("stale", [pytest.param(True, marks=needs_all_namespaces), False])
def test_a_server_whose_file_was_replaced_is_told_from_a_dead_one(
    stage: Stage, *, stale: bool
) -> None:
    server = served(stage, lambda: None, "s")
    (stage.directory / "s").unlink()
    if stale:
        stage.stale()
    else:
        (stage.directory / "s").touch(0o666)
        (stage.directory / "s").chmod(0o666)
    asked = stage.ask()
    report = asked.explain()
    assert asked.kernel() == report.verdict.number == errno.ECONNREFUSED
    assert f"({server.pid}, root" in check_of(report, "elsewhere").detail
    assert f"({server.pid}), if it is the server" in report.verdict.remedy.text


def test_a_renamed_file_is_found_and_connects(stage: Stage) -> None:
    served(stage, lambda: None, "s")
    (stage.directory / "s").rename(stage.directory / "t")
    report = stage.ask().explain()
    assert check_of(report, "elsewhere").detail.endswith(f"is now {stage.directory}/t")
    assert f"connect to {stage.directory}/t" in report.verdict.remedy.text
    assert stage.ask("t").kernel() == 0


def test_a_server_with_other_mounts_is_named_and_a_shared_directory_helps(stage: Stage) -> None:
    place = stage.folder("a")

    def hide() -> None:
        unshare(CLONE_NEWNS)
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", place)

    server = served(stage, hide)
    asked = stage.ask("a/s")
    report = asked.explain()
    assert asked.kernel() == report.verdict.number == errno.ENOENT
    detail = check_of(report, "elsewhere").detail
    assert f"({server.pid}, root" in detail
    assert detail.endswith("in another mount namespace: its file is not visible here")
    assert "the directory of the socket from one mount" in report.verdict.remedy.text
    assert any("any user can" in each for each in report.verdict.remedy.caveats)
    server.stop()
    gone = asked.explain()
    assert all(each.name != "elsewhere" for each in gone.checks)
    served(stage, lambda: unshare(CLONE_NEWNS))  # and the directory is the one that both have
    assert (asked.kernel(), asked.explain().verdict.number) == (0, 0)


def test_a_file_that_its_server_does_not_see_either_is_not_said_to_be_there(stage: Stage) -> None:
    place = stage.folder("a")

    def lose() -> None:
        unshare(CLONE_NEWNS)
        mount("-t", "tmpfs", "tmpfs", place)
        stage.listener("a/s")
        (place / "s").unlink()

    stage.process(lose)
    report = stage.ask("a/s").explain()
    assert check_of(report, "elsewhere").detail.endswith("where its file is cannot be told")
    assert report.verdict.remedy.commands == ()


def test_a_server_in_another_root_and_network_namespace_is_named(stage: Stage) -> None:
    stage.folder("root/run")

    def enter() -> None:
        unshare(CLONE_NEWNET)
        os.chroot(stage.directory / "root")
        os.chdir("/")

    server = served(stage, enter, "/run/le-inside.sock")
    asked = stage.ask(b"/run/le-inside.sock")
    report = asked.explain()
    assert asked.kernel() == report.verdict.number == errno.ENOENT
    detail = check_of(report, "elsewhere").detail
    assert f"({server.pid}, root" in detail
    assert "in another root directory" in detail


def test_a_mount_over_the_directory_covers_the_file(stage: Stage) -> None:
    place = stage.folder("a")

    def enter() -> None:
        unshare(CLONE_NEWNS)
        stage.listener("a/s")
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", place)

    asked = stage.ask("a/s", enter=enter)
    report = asked.explain()
    assert asked.kernel() == report.verdict.number == errno.ENOENT
    assert "on another file system than this directory" in check_of(report, "elsewhere").detail


def test_a_name_bound_by_another_user_out_of_sight_is_not_to_be_trusted(stage: Stage) -> None:
    def forge() -> None:
        enter_user_namespace(f"0 {NOBODY} 1")
        become_root()
        unshare(CLONE_NEWNS)
        mount("-t", "tmpfs", "tmpfs", stage.directory)
        stage.listener("s")

    forger = stage.process(forge)
    report = stage.ask().explain()
    assert f"({forger.pid}, nobody" in check_of(report, "elsewhere").detail
    remedy = report.verdict.remedy
    assert (remedy.commands, len(remedy.caveats)) == ((), 1)
    unit = SocketUnit("s.socket", "s.service", active=False)
    (configured,) = check_lost(Lost(NOBODY, None, "unknown"), unit)
    assert configured.remedy.text == ""


def test_an_unprivileged_caller_is_told_of_a_listener_but_not_where_it_is(stage: Stage) -> None:
    place = stage.folder("a")

    def hide() -> None:
        unshare(CLONE_NEWNS)
        mount("-t", "tmpfs", "tmpfs", place)

    served(stage, hide)
    answer = stage.directory / "answer"
    answer.touch()
    answer.chmod(0o666)

    def look() -> None:
        become(NOBODY)
        client = of_process(os.getpid())
        report = explain(Question(os.fsencode(place / "s"), None, client))
        answer.write_text(check_of(report, "elsewhere").detail, encoding="utf-8")

    stage.process(look)
    assert answer.read_text(encoding="utf-8") == (
        "a process of user root listens under this name, but where its file is cannot be told"
    )


@pytest.mark.parametrize(
    ("listening", "asked"),
    [
        ("docker/docker.sock", "docker.sock"),
        ("app.socket", "app.sock"),
        ("app-1.3.sock", "app-1.2.sock"),
        (".s.PGSQL.5433", ".s.PGSQL.5432"),
        ("api.sock", "other.sock"),
    ],
)
def test_a_listener_beside_the_path_is_a_hint(stage: Stage, listening: str, asked: str) -> None:
    stage.folder("docker")
    listener = stage.listener(listening)
    client = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(str(stage.directory / listening))
    stage.stack.enter_context(listener.accept()[0])  # which has the name of the listener
    stage.listener("lost.sock")  # its name leads to another file
    (stage.directory / "lost.sock").unlink()
    stage.stale("lost.sock")
    text = stage.ask(asked).explain().verdict.remedy.text
    # Tests that run beside this one may have others.
    assert f"; listeners nearby: {stage.directory / listening} (root)" in text


def test_at_most_three_listeners_are_hints_and_the_most_similar_is_first(stage: Stage) -> None:
    # A name that no listener of another test resembles: one in another directory would be a hint.
    for name in ("a", "b", "c", "most-similar.socket"):
        stage.listener(name)
    text = stage.ask("most-similar.sock").explain().verdict.remedy.text
    where = stage.directory
    hints = ", ".join(f"{where}/{name} (root)" for name in ("most-similar.socket", "a", "b"))
    assert f"nearby: {hints}" in text
