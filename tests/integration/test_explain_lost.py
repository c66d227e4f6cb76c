"""A path that leads to no listener, while one lives: what `explain` says, and what then helps."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from localechod.explain.check import Check
from localechod.explain.report import Report
from tests.integration.harness import needs_root
from tests.integration.stage import CLONE_NEWNS, Stage, mount, unshare

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
