"""The start order of the daemon, as one list: read, lock, bind as root, drop, verify, serve.

Everything is imported here, before the privilege drop: the service's user may not have the right
to read the directory of this program.
"""

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from localechod import config
from localechod.config import Config
from localechod.daemon import activation, crash, restart
from localechod.daemon.activation import Passed
from localechod.daemon.inherited import inherit
from localechod.daemon.launch import Launch
from localechod.daemon.service import Service
from localechod.echo import descriptors
from localechod.echo.binding import Owner, open_privileged
from localechod.echo.eventloop import EventLoop
from localechod.echo.reactor import Reactor
from localechod.errors import ConfigError, LocalechodError, UsageError
from localechod.host import logs, privileges, runtime, runtime_directory, systemd
from localechod.host.daemonize import Background
from localechod.host.fdstore import Store
from localechod.host.pidfile import PidFile, open_root_owned
from localechod.host.privileges import Identity
from localechod.localsocket.rights import can_refuse

log = logging.getLogger("localechod.daemon")

SYSTEM_PID_FILE = Path("/run/localechod.pid")


def check(file: str | None, runtime_dir: str | None) -> int:
    """`--check`: print the effective configuration, and warnings on standard error.

    Raises:
        ConfigError: it is not valid.
    """
    loaded = config.load(runtime.config_file(file), runtime.runtime_directory(runtime_dir))
    # The service may have another limit than this shell, so too small a one is no error here.
    plan = descriptors.Plan(loaded, descriptors.limit())
    for warning in filter(None, [*config.warnings(loaded), plan.warning()]):
        print(f"warning: {warning}", file=sys.stderr)  # noqa: T201 - a report, not a log
    print(config.dump(loaded), end="")  # noqa: T201
    return 0


def run(options: argparse.Namespace) -> int:
    """Start, serve until a signal, and return the exit status.

    Raises:
        LocalechodError: it could not start, and has left nothing behind. With `--detach`, an error
            in the background is reported to the shell instead.
    """
    file = runtime.config_file(options.config)
    directory = runtime.runtime_directory(options.runtime_dir)
    inherited = inherit()
    state = restart.read_state(inherited.state)
    passed = activation.describe(inherited.activated)
    loaded, remark, matched = _configuration(file, directory, inherited.config, passed)
    plan = descriptors.Plan(loaded, descriptors.limit(), matched)
    identity = _identity(loaded) if os.geteuid() == 0 else None
    notifier = systemd.Notifier()
    if options.detach and notifier.supervised:
        raise UsageError(
            "--detach under systemd: systemd would lose track of the daemon",
            "use Type=notify without it",
        )
    locks = _lock(directory, identity, options)
    preserve = [lock.fileno() for lock in locks] + inherited.descriptors()
    background = Background.start(detach=options.detach, preserve=preserve)
    try:
        logs.setup(options.log_level, logs.destination(detached=options.detach))
        _write_pids(*locks)
        for warning in filter(None, [*config.warnings(loaded), plan.warning()]):
            log.warning("%s", warning)
        store = Store(notifier)
        slots = crash.memory(inherited.crash_slots, store)
        owner = _owner(identity)
        passed_in = activation.open_sockets(matched, loaded, owner)
        found = passed_in | restart.take_over(loaded, owner, inherited, store, passed_in)
        opened = found | open_privileged(loaded, owner, found)
        _become(identity)
        states, sockets = restart.receive(inherited.connections, state)
        revived, their_sockets = crash.revive(inherited.crash_kept, slots, states, loaded, store)
        launch = Launch(
            file=file,
            directory=directory,
            config=loaded,
            owner=owner,
            opened=opened,
            control=inherited.control,
            started=time.monotonic() if state is None else state.started,
            states=[*states, *revived],
            sockets=sockets + their_sockets,
            slots=slots,
            remark=remark,
            dropped=identity is not None,
        )
        reactor = Reactor(busy_poll=loaded.service.busy_poll_us / 1e6)
        service = Service(launch, notifier, store, reactor)
        # Clients of systemd's sockets may have connected before this process began.
        if passed_in or not can_refuse():
            reactor.interrupt_releases()
        with asyncio.Runner(loop_factory=lambda: EventLoop(reactor)) as runner:
            try:
                runner.run(service.serve(background.ready))
            finally:
                reactor.stop_alarm()
    except LocalechodError as error:
        background.failed(str(error), error.exit_status)
        return error.exit_status
    finally:
        for lock in locks:
            lock.empty()
    return 0


def _configuration(
    file: Path | None, directory: Path, last_good: str | None, passed: Sequence[Passed]
) -> tuple[Config, str, dict[str, Passed]]:
    """Read the configuration, or go on with the one that was in force before.

    Returns:
        The configuration; what is wrong with the file, or ""; a socket unit's sockets by endpoint.

    Raises:
        ConfigError: it is not valid, or needs more descriptors than there are, and there is no
            other.
        UsageError: a socket unit has passed a socket that does not fit, and there is no other
            configuration.
    """
    try:
        loaded = config.load(file, directory)
        matched = activation.match(passed, loaded.endpoints)
        descriptors.Plan(loaded, descriptors.limit(), matched).require()
        return loaded, "", matched  # noqa: TRY300 - an else would come after the except
    except (ConfigError, UsageError) as error:
        if last_good is None:
            raise
        with suppress(ConfigError, UsageError):  # of another version of this program
            loaded = config.parse(last_good, directory, "the last good configuration")
            remark = f"degraded, on the last good configuration: {error}"
            return loaded, remark, activation.match(passed, loaded.endpoints)
        raise


def _identity(loaded: Config) -> Identity:
    return privileges.resolve(loaded.service.user, loaded.service.group)


def _lock(directory: Path, identity: Identity | None, options: argparse.Namespace) -> list[PidFile]:
    """Prepare the runtime directory; lock it and the pid file before anything else changes."""
    owner = None if identity is None else identity.uid
    with ExitStack() as undo:
        prepared = runtime_directory.prepare(directory, identity)
        undo.callback(os.close, prepared)
        locks = [PidFile.acquire(directory / runtime.LOCK, directory=prepared, owner=owner)]
        pid_file = options.pid_file
        if pid_file is None and options.detach:
            pid_file = SYSTEM_PID_FILE if identity else directory / "localechod.pid"
        if pid_file is not None:
            path = Path(pid_file).absolute()
            parent = None
            if identity is not None:
                parent = open_root_owned(path.parent)
                undo.callback(os.close, parent)
            locks.append(PidFile.acquire(path, directory=parent))
    return locks


def _write_pids(lock: PidFile, *pid_files: PidFile) -> None:
    """Write the pid into all of them; only error messages need that in the directory's lock."""
    for pid_file in pid_files:
        pid_file.write_pid()
    try:
        lock.write_pid()
    except LocalechodError as error:
        log.warning("%s; it is locked all the same", error)


def _owner(identity: Identity | None) -> Owner:
    if identity is None:
        return Owner(os.geteuid(), os.getegid())
    return Owner(identity.uid, identity.gid)


def _become(identity: Identity | None) -> None:
    """Give root up for good. A daemon that never was root keeps its ids, and seals its memory."""
    if identity is None:
        privileges.seal()
    else:
        privileges.drop(identity)
