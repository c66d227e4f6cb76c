"""`explain` and the kernel: in every situation, its errno is the one that connect(2) returns."""

import errno
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from localechod.explain import netns
from tests.integration.harness import needs_root
from tests.integration.situations import SITUATIONS, Situation
from tests.integration.stage import Stage

pytestmark = needs_root

LSM = any(
    path.exists() and path.read_text(encoding="ascii").strip() in {"1", "Y"}
    for path in map(Path, ("/sys/fs/selinux/enforce", "/sys/module/apparmor/parameters/enabled"))
)

# In a container, a file without a visible holder may be held by a process outside.
HIDDEN = not netns.survey().complete


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def test_the_table_is_long_and_has_no_duplicates() -> None:
    names = [each.name for each in SITUATIONS]
    assert len(set(names)) == len(names) >= 50


@pytest.mark.parametrize("row", SITUATIONS, ids=lambda row: row.name)
def test_the_verdict_is_what_connect_returned(row: Situation, stage: Stage) -> None:
    asked = row.create(stage)
    report = asked.explain()  # first, because a connect may take the last place in a backlog
    assert asked.kernel() == row.number, os.strerror(row.number)
    hidden = HIDDEN and row.number == errno.ECONNREFUSED and "other containers" in str(report)
    if row.unknowable or ((LSM or hidden) and report.verdict.number is None):
        assert report.verdict.number is None, row.unknowable
    else:
        assert report.verdict.number == row.number, report
    stuck = report.served is False
    assert bool(report.verdict.remedy.text) == (report.verdict.number != 0 or stuck)


def test_a_process_with_only_an_accepted_connection_is_no_holder(stage: Stage) -> None:
    listener = stage.listener()
    client = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(listener.getsockname())
    connection, _ = listener.accept()
    with connection:
        worker = subprocess.Popen(["sleep", "60"], pass_fds=[connection.fileno()])
        stage.stack.callback(worker.wait)
        stage.stack.callback(worker.kill)
    assert [holder.pid for holder in stage.ask().explain().holders] == [os.getpid()]
    listener.close()
    assert [holder.pid for holder in stage.ask().explain().holders] == [worker.pid]
