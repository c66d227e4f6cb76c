"""A reload that fails on the way leaves nothing behind, and the next one succeeds."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from localechod import config
from localechod.config import Config
from localechod.echo import reload
from localechod.echo.binding import Owner, open_socket
from localechod.echo.endpoint import Endpoint
from localechod.echo.supervisor import Supervisor
from localechod.localsocket.bound import Bound
from tests.unit.restart_fakes import Kept, live


def three(directory: Path, prefix: str, place: str) -> str:
    """Return three endpoints of these names, at paths that end so."""
    table = '[endpoints.{0}]\ntype = "stream"\npath = "{1}/{0}{2}.sock"\n'
    return "".join(table.format(f"{prefix}{name}", directory, place) for name in "abc")


@pytest.fixture
def store() -> Iterator[Kept]:
    store = Kept()
    yield store
    store.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


def parsed(text: str, directory: Path) -> Config:
    return config.parse(f"version = 1\n{text}", directory, "test")


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError()])
@pytest.mark.parametrize("step", range(6))
def test_a_failure_at_any_step_is_undone(
    sockdir: Path,
    store: Kept,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    error: Exception,
) -> None:
    """The steps: three new endpoints are made, then three sockets are bound at new paths."""
    calls = 0

    def fail() -> None:
        nonlocal calls
        calls += 1
        if calls == step + 1:
            raise error

    async def act(supervisor: Supervisor) -> None:
        create, bind = supervisor._reload._create, open_socket

        def failing_create(settings: config.EndpointConfig) -> Endpoint:
            fail()
            return create(settings)

        def failing_bind(settings: config.EndpointConfig, owner: Owner) -> Bound:
            fail()
            return bind(settings, owner)

        loaded = parsed(three(sockdir, "", "2") + three(sockdir, "new-", ""), sockdir)
        changes = config.compare(parsed(three(sockdir, "", ""), sockdir), loaded)
        before, files = descriptors(), sorted(os.listdir(sockdir))  # noqa: PTH208
        with monkeypatch.context() as patched:
            patched.setattr(supervisor._reload, "_create", failing_create)
            patched.setattr(reload, "open_socket", failing_bind)
            with pytest.raises(type(error)):
                supervisor.apply(changes, loaded)
        assert calls == step + 1
        assert descriptors() == before
        assert sorted(os.listdir(sockdir)) == files  # noqa: PTH208
        supervisor.apply(changes, loaded)
        assert {row.state for row in supervisor.status()} == {"listening"}

    live(store, sockdir, three(sockdir, "", ""), act)
