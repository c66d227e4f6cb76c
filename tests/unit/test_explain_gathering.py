"""Gathering facts about processes that end, are hidden, or never existed."""

import os
import socket
from pathlib import Path

import pytest

from localechod.errors import NotPermittedError, UsageError
from localechod.explain import lost, netns, places
from localechod.explain.facts import Question
from localechod.explain.gathering import gather
from localechod.explain.netns import Namespaces
from tests.unit.explain_fakes import client


def question(path: Path | str, pid: int | None = None) -> Question:
    return Question(os.fsencode(path), None, client(), pid)


@pytest.fixture
def stale(sockdir: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "stale"))
    return sockdir / "stale"


def surveys(monkeypatch: pytest.MonkeyPatch, *answers: dict[int, int]) -> list[int]:
    """Have these namespaces found, one result per survey; return the pids that are entered."""
    entered: list[int] = []
    left = list(answers)

    def survey() -> Namespaces:
        return Namespaces({1: 1, **(left.pop(0) if len(left) > 1 else left[0])}, complete=True)

    def run_inside(pid: int | None, _: object) -> list[object]:
        if pid is None:
            return []
        entered.append(pid)
        if pid < 100:
            raise ProcessLookupError
        if pid < 200:
            raise PermissionError
        return []

    monkeypatch.setattr(lost, "find", lambda *_: None)  # which searches them too
    monkeypatch.setattr(netns, "identity", lambda _: 1)
    monkeypatch.setattr(netns, "survey", survey)
    monkeypatch.setattr(netns, "run_inside", run_inside)
    return entered


@pytest.mark.parametrize(
    ("answers", "entered", "unsearched"),
    [
        ([{}], [], 0),
        ([{7: 300}], [300], 0),
        ([{7: 150, 8: 300}], [150, 300], 1),
        ([{7: 50}, {}], [50], 0),  # it was the last process in it
        ([{7: 50}, {7: 300}], [50, 300], 0),  # another process is in it
        ([{7: 50}], [50, 50, 50, 50], None),  # each process has just ended
    ],
)
def test_every_namespace_is_searched_once_or_counted_as_unsearched(
    monkeypatch: pytest.MonkeyPatch,
    stale: Path,
    answers: list[dict[int, int]],
    entered: list[int],
    unsearched: int | None,
) -> None:
    asked = surveys(monkeypatch, *answers)
    assert gather(question(stale)).listing.unsearched == unsearched
    assert asked == entered


def test_where_processes_may_be_hidden_the_number_of_namespaces_is_unknown(
    monkeypatch: pytest.MonkeyPatch, stale: Path
) -> None:
    surveys(monkeypatch, {})
    monkeypatch.setattr(netns, "survey", lambda: Namespaces({1: 1}, complete=False))
    assert gather(question(stale)).listing.unsearched is None


def test_a_list_that_cannot_be_read_is_reported_with_its_errno(
    monkeypatch: pytest.MonkeyPatch, stale: Path
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(netns, "run_inside", refused)
    assert gather(question(stale)).listing.failure == "Operation not permitted (1)"
    abstract = Question(b"\0x", None, client())
    assert gather(abstract).listing.failure == "Operation not permitted (1)"


@pytest.mark.parametrize(
    ("error", "pid", "expected"),
    [
        (FileNotFoundError, 77, UsageError),
        (PermissionError, 77, NotPermittedError),
        (FileNotFoundError, None, FileNotFoundError),
        (PermissionError, None, PermissionError),
    ],
)
def test_a_process_that_cannot_be_inspected_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
    error: type[OSError],
    pid: int | None,
    expected: type[Exception],
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(places, "walk_path", failing)
    monkeypatch.setattr(os, "open", lambda *_, **__: os.dup(0))
    monkeypatch.setattr("localechod.explain.mounts.table", lambda _: {})
    with pytest.raises(expected):
        gather(question("/x", pid))
