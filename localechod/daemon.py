"""The daemon's start order, as one readable list: read, lock, bind as root, drop, prove, serve.

Everything is imported here, before the privileges go: the service's user may not be able to read
the place that this program was installed in.
"""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from localechod import config
from localechod.config import Config
from localechod.echo.endpoint import Opened, Owner
from localechod.echo.supervisor import open_privileged
from localechod.errors import LocalechodError, UsageError
from localechod.host import logs, privileges, runtime, systemd
from localechod.host.background import Background
from localechod.host.lock import PidFile, check_root_owned
from localechod.host.privileges import Identity
from localechod.service import Launch, Service

try:
    from uvloop import new_event_loop
except ImportError:  # everything works without it, a little slower
    from asyncio import new_event_loop  # type: ignore[assignment]

log = logging.getLogger("localechod.daemon")

SYSTEM_PID_FILE = Path("/run/localechod.pid")


def check(file: str | None, runtime_dir: str | None) -> int:
    """`--check`: print the effective configuration, and on standard error what looks unintended.

    Raises:
        ConfigError: it is not valid.
    """
    loaded = config.load(runtime.config_file(file), runtime.runtime_directory(runtime_dir))
    for warning in config.warnings(loaded):
        print(f"warning: {warning}", file=sys.stderr)  # noqa: T201 - a report, not a log
    print(config.dump(loaded), end="")  # noqa: T201
    return 0


def run(options: argparse.Namespace) -> int:
    """Start, serve until a signal, and return the exit status.

    Raises:
        LocalechodError: it could not start, and nothing is left behind. With `--detach`, what goes
            wrong in the background is told to the shell instead.
    """
    file = runtime.config_file(options.config)
    directory = runtime.runtime_directory(options.runtime_dir)
    loaded = config.load(file, directory)
    identity = _identity(loaded) if os.geteuid() == 0 else None
    notifier = systemd.Notifier()
    if options.detach and notifier.supervised:
        raise UsageError(
            "--detach under systemd: it would lose sight of the daemon",
            "use Type=notify without it",
        )
    runtime.prepare(directory, identity)
    locks = _lock(directory, identity, options)
    background = Background.start(detach=options.detach, preserve=[lock.fileno() for lock in locks])
    try:
        logs.setup(options.log_level, logs.destination(detached=options.detach))
        for lock in locks:
            lock.write_pid()
        for warning in config.warnings(loaded):
            log.warning("%s", warning)
        owner, opened = _become(identity, loaded)
        launch = Launch(file, directory, loaded, owner, opened, dropped=identity is not None)
        service = Service(launch, notifier)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(service.serve(background.ready))
    except LocalechodError as error:
        background.failed(str(error), error.exit_status)
        return error.exit_status
    finally:
        for lock in locks:
            lock.empty()
    return 0


def _identity(loaded: Config) -> Identity:
    return privileges.resolve(loaded.service.user, loaded.service.group)


def _lock(directory: Path, identity: Identity | None, options: argparse.Namespace) -> list[PidFile]:
    """Take the runtime directory's lock and the pid file's, before anything else is touched."""
    owner = None if identity is None else identity.uid
    locks = [PidFile.acquire(directory / runtime.LOCK, owner=owner)]
    pid_file = options.pid_file
    if pid_file is None and options.detach:
        pid_file = SYSTEM_PID_FILE if identity else directory / "localechod.pid"
    if pid_file is not None:
        path = Path(pid_file).absolute()
        if identity is not None:
            check_root_owned(path.parent)
        locks.append(PidFile.acquire(path))
    return locks


def _become(identity: Identity | None, loaded: Config) -> tuple[Owner, dict[str, Opened]]:
    """Bind what only root can bind, then stop being root for good; as anyone else, do neither."""
    if identity is None:
        return Owner(os.geteuid(), os.getegid()), {}
    owner = Owner(identity.uid, identity.gid)
    opened = open_privileged(loaded, owner)
    privileges.drop(identity)
    return owner, opened
