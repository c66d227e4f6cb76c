"""What the service itself does on a reload, whichever way it was asked."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from localechod import config
from localechod.control import admins
from localechod.control.access import Admins
from localechod.daemon.inherited import EndpointStore
from localechod.daemon.launch import Launch
from localechod.daemon.service import Service
from localechod.echo.binding import Owner
from localechod.echo.persist.crash_slots import no_slots
from localechod.echo.supervisor import Supervisor
from localechod.host.systemd import Notifier
from tests.unit.loops import run, running_reactor
from tests.unit.restart_fakes import Kept

SECONDS = 10.0


async def called(service: Service) -> None:
    await service.reload()


async def signalled(service: Service) -> None:
    service._reload_on_hup()
    while service._reload_timer is not None:  # noqa: ASYNC110 - it is due at once
        await asyncio.sleep(0)
    await service._reloading


@pytest.mark.parametrize("reload", [called, signalled])
def test_a_reload_looks_the_administrators_up_again(
    sockdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    reload: Callable[[Service], Coroutine[Any, Any, None]],
) -> None:
    file = sockdir / "localechod.toml"
    file.write_text(
        'version = 1\n[control]\nadmins = ["later"]\n[endpoints.a]\ntype = "stream"\n', "utf-8"
    )
    loaded = config.load(file, sockdir)
    owner, store = Owner(os.geteuid(), os.getegid()), Kept()
    launch = Launch(
        file=file,
        directory=sockdir,
        config=loaded,
        owner=owner,
        opened={},
        control=(),
        started=time.monotonic(),
        states=(),
        sockets=(),
        slots=no_slots(),
        remark="",
        dropped=False,
    )
    later = Admins(frozenset({4711}), frozenset())

    async def main() -> None:
        reactor = running_reactor()
        service = Service(launch, Notifier({}), store, reactor)
        service.supervisor = Supervisor(
            loaded, reactor, owner, EndpointStore(store, launch.slots), dropped=False
        )
        service.supervisor.begin({})
        assert not service._control.open(loaded.control, owner, ())
        await service._control.serve(service, loaded.control.admins)
        assert service._control._server is not None
        interceptor = service._control._server._interceptor
        assert interceptor.admins.uids == {os.geteuid()}
        monkeypatch.setattr(admins, "resolve", lambda *_: later)
        await reload(service)
        assert interceptor.admins == later
        await service._control.close()
        service._control.remove()
        await service.supervisor.drain(SECONDS)

    run(main(), SECONDS)
    store.close()


def test_many_signals_cause_one_reload_and_one_more_after_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        service = Service.__new__(Service)
        service._reload_timer, service._reloaded_at = None, -1.0
        reloads = []

        async def reload() -> None:
            reloads.append(loop.time())

        monkeypatch.setattr(service, "reload", reload)
        for _ in range(100):
            service._reload_on_hup()
        while not reloads:  # noqa: ASYNC110 - it is due at once
            await asyncio.sleep(0)
        for _ in range(100):
            service._reload_on_hup()
        await asyncio.sleep(0)
        assert len(reloads) == 1
        assert service._reload_timer is not None
        assert service._reload_timer.when() == service._reloaded_at + 1.0
        service._reload_timer.cancel()

    run(main(), SECONDS)
