"""The running service: endpoints and control socket on one loop, until a signal; reload; drain."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress

import msgspec

from localechod import __version__, config
from localechod.accounts import user_name
from localechod.control import catalog
from localechod.control.messages import DaemonInfo, ReloadReport
from localechod.daemon import crash, restart
from localechod.daemon.control_socket import ControlSocket
from localechod.daemon.inherited import EndpointStore
from localechod.daemon.launch import Launch
from localechod.daemon.systemd_status import feed_watchdog, summary, tell_status
from localechod.echo.events import Event
from localechod.echo.lifecycle import State
from localechod.echo.persist.snapshot import ServiceSnapshot
from localechod.echo.reactor import Reactor
from localechod.echo.supervisor import Supervisor
from localechod.errors import LocalechodError
from localechod.host import jobs, runtime
from localechod.host.fdstore import Store
from localechod.host.systemd import Notifier

log = logging.getLogger("localechod.service")

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# Seconds between two reloads by SIGHUP. With many endpoints one takes tens of milliseconds, and
# nobody is served meanwhile.
_RELOAD_PAUSE = 1.0

# Seconds that systemd has to read what it is to store over a restart.
_BARRIER = 5.0
# Seconds that the end waits for space in systemd's queue of notifications.
_FLUSH = 5.0


class Service:
    """Everything that runs on the event loop. It is the `Daemon` of the control plane."""

    supervisor: Supervisor

    def __init__(self, launch: Launch, notifier: Notifier, store: Store, reactor: Reactor) -> None:
        self._launch = launch
        self._config = launch.config
        self._notifier = notifier
        self._store = store
        self._reactor = reactor
        self._restart_needed: tuple[str, ...] = ()
        self._remark = launch.remark
        self._control = ControlSocket(store)
        self._control_failure = ""
        self._reload_timer: asyncio.TimerHandle | None = None
        self._reloaded_at = -_RELOAD_PAUSE

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until TERM or INT, then drain; before a restart, hand over to the next process.

        Args:
            ready: called once every endpoint is listening or failed.

        Raises:
            LocalechodError: not one endpoint could be bound.
        """
        loop = asyncio.get_running_loop()
        # Called in reverse order: drain, events, tasks, catalog, control socket, store, flush.
        async with AsyncExitStack() as cleanup:
            owner, keeper = self._launch.owner, EndpointStore(self._store, self._launch.slots)
            cleanup.callback(self._notifier.flush, _FLUSH)
            crash.remember(self.config_text(), self._store)
            cleanup.callback(crash.forget, self._store)
            # Before the endpoints, which may take all descriptors: an administrator can ask why.
            cleanup.callback(self._control.remove)
            cleanup.push_async_callback(self._control.close)
            self._control_failure = self._control.open(
                self._config.control, owner, self._launch.control
            )
            self.supervisor = Supervisor(
                self._config, self._reactor, owner, keeper, dropped=self._launch.dropped
            )
            self.supervisor.begin(self._launch.opened)
            self.supervisor.thaw(self._launch.states, self._launch.sockets)
            restart.discard(self._store)
            self._refuse_to_serve_nothing()
            await self._control.serve(self, self._config.control.admins)
            self._write_catalog(cleanup)
            self._in_background(
                tell_status(self._notifier, self.supervisor, self._what_is_wrong), cleanup
            )
            self._in_background(feed_watchdog(self._notifier, self._reactor), cleanup)
            cleanup.callback(self.supervisor.events.close)
            cleanup.push_async_callback(self.supervisor.drain, self._config.service.drain_timeout)
            stop = asyncio.Event()
            for number in _STOP_SIGNALS:
                loop.add_signal_handler(number, stop.set)
            loop.add_signal_handler(signal.SIGHUP, self._reload_on_hup)
            self._notifier.ready(summary(self.supervisor, self._what_is_wrong()))
            ready()
            log.info("localechod %s serves as %s", __version__, user_name(os.geteuid()))
            await stop.wait()
            # One signal is enough. A second one, with the loop closed, would kill the process.
            signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
            self._notifier.stopping()
            if jobs.pending() == "restart" and await self._hand_over():
                cleanup.pop_all()  # the next process goes on with everything

    async def _hand_over(self) -> bool:
        """Before a restart: hand everything over to the next process; False: it failed."""
        await self._control.close()  # the endpoints still answer
        endpoints, sockets = self.supervisor.freeze()
        state = ServiceSnapshot(started=self._launch.started, endpoints=endpoints)
        try:
            restart.pack(state, sockets, self._store)
            taken = self._store.barrier(_BARRIER)
        except OSError as error:
            log.error("restart without its connections: %s", error)  # noqa: TRY400 - not a defect
            taken = False
        if not taken:
            restart.discard(self._store)
            self.supervisor.unfreeze()
            return False
        log.info("restart: %d connections are handed over", len(sockets))
        return True

    def _what_is_wrong(self) -> str:
        return ", ".join(filter(None, (self._remark, self._control_failure)))

    def info(self) -> DaemonInfo:
        """Describe the daemon itself."""
        return DaemonInfo(
            version=__version__,
            pid=os.getpid(),
            user=user_name(os.geteuid()),
            uid=os.geteuid(),
            uptime_seconds=time.monotonic() - self._launch.started,
            config="" if self._launch.file is None else str(self._launch.file),
            runtime_dir=str(self._launch.directory),
            restart_needed=list(self._restart_needed),
            log_lines_left_out_total=self.supervisor.peer_log.left_out,
        )

    def config_text(self) -> str:
        """Return the configuration in force as TOML."""
        return config.dump(self._config)

    async def reload(self) -> ReloadReport:
        """Read the configuration again and apply the difference; an invalid file changes nothing.

        Raises:
            ConfigError: the file is not valid.
            LocalechodError: an endpoint cannot be bound as the file says; nothing has changed.
        """
        loaded = config.load(self._launch.file, self._launch.directory)
        changes = config.compare(self._config, loaded)
        self.supervisor.apply(changes, loaded)
        self._control.resolve_admins()
        self._remark = ""
        self._restart_needed = changes.restart_needed
        # Keys that need a restart stay as they were; `config show` prints the keys in force.
        self._config = msgspec.structs.replace(self._config, endpoints=loaded.endpoints)
        crash.remember(self.config_text(), self._store)
        self._write_catalog()
        report = ReloadReport(
            added=changes.added,
            changed=changes.changed,
            removed=changes.removed,
            unchanged=tuple(
                name for name in loaded.endpoints if name not in {*changes.added, *changes.changed}
            ),
            restart_needed=self._restart_needed,
        )
        text = (
            f"configuration read again: {len(report.added)} added, {len(report.changed)} changed, "
            f"{len(report.removed)} removed"
        )
        log.info("%s", text)
        self.supervisor.events.publish(Event("reload", "", text))
        return report

    def _reload_on_hup(self) -> None:
        """Reload on SIGHUP, once for all signals that come in _RELOAD_PAUSE."""
        if self._reload_timer is None:
            loop = asyncio.get_running_loop()
            at = max(loop.time(), self._reloaded_at + _RELOAD_PAUSE)
            self._reload_timer = loop.call_at(at, self._reload_now)

    def _reload_now(self) -> None:
        """Reload; a signal has no answer, so an error goes to the log."""
        self._reload_timer = None
        self._reloaded_at = asyncio.get_running_loop().time()

        async def reload() -> None:
            try:
                await self.reload()
            except LocalechodError as error:
                log.error("reload failed: %s", error)  # noqa: TRY400 - a mistake of the user's

        self._reloading = asyncio.create_task(reload())

    def _refuse_to_serve_nothing(self) -> None:
        states = {status.name: status for status in self.supervisor.status()}
        failed = [status for status in states.values() if status.state == State.FAILED]
        if failed and not any(State(status.state).serves for status in states.values()):
            reasons = ", ".join(f"{status.name}: {status.error}" for status in failed)
            raise LocalechodError(f"no endpoint could be bound: {reasons}")

    def _write_catalog(self, cleanup: AsyncExitStack | None = None) -> None:
        path = self._launch.directory / runtime.CATALOG
        entries = [
            catalog.CatalogEntry(
                name=endpoint.name,
                type=endpoint.type,
                path=endpoint.path,
                framing=endpoint.framing if endpoint.type == "stream" else "",
                record_size=endpoint.record_size,
            )
            for endpoint in self._config.endpoints.values()
        ]
        try:
            catalog.write(path, entries)
        except LocalechodError as error:
            log.error("%s", error)  # noqa: TRY400 - only `send NAME` needs the file
        if cleanup is not None:
            cleanup.callback(path.unlink, missing_ok=True)

    @staticmethod
    def _in_background(work: Coroutine[None, None, None], cleanup: AsyncExitStack) -> None:
        """Run a task until the service ends; an exception in it is raised there."""

        async def end() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        task = asyncio.create_task(work)
        cleanup.push_async_callback(end)
