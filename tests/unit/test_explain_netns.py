"""Network namespaces: found without privilege, entered with it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from localechod.explain import netns
from tests.integration.harness import as_user, needs_root


@pytest.fixture
def other() -> Iterator[int]:
    words = ["unshare", "--net", "sh", "-c", "echo; exec sleep 60"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout
        if process.stdout.readline() != b"\n":
            pytest.skip("network namespaces are not to be had here")
        yield process.pid
        process.kill()


def test_our_own_namespace_is_among_those_found() -> None:
    found = netns.survey()
    assert netns.identity(os.getpid()) in found.pids
    assert netns.identity(0) is None


@needs_root
def test_an_ordinary_user_can_distinguish_another_namespace(other: int) -> None:
    def told_apart() -> int:
        return netns.identity(other) in {None, netns.identity(os.getpid())}

    assert as_user(65534, [], told_apart) == 0
    assert netns.survey().pids[netns.identity(other) or 0] == other


def current() -> Path:
    return Path("/proc/thread-self/ns/net").readlink()


@needs_root
def test_a_function_runs_inside_and_we_stay_outside(other: int) -> None:
    here = current()
    there = netns.run_inside(other, current)
    assert there == Path(f"/proc/{other}/ns/net").readlink() != here
    assert current() == here
    assert netns.run_inside(None, current) == here


@needs_root
def test_an_ordinary_user_may_not_enter(other: int) -> None:
    def entered() -> int:
        netns.run_inside(other, lambda: None)
        return 0

    assert as_user(65534, [], entered) == 13


@needs_root
def test_what_fails_inside_is_raised_outside(other: int) -> None:
    with pytest.raises(FileNotFoundError):
        netns.run_inside(other, lambda: Path("/nonexistent").stat())


def test_in_a_pid_namespace_the_list_is_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netns, "is_contained", lambda: True)
    assert not netns.survey().complete
