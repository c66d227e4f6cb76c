"""The experiment with gRPC: a real daemon in the experiment's directory, asked over its socket."""

import asyncio
import grp
import os
import pwd
import stat
import sys
from pathlib import Path

import localechod
from localechod.control.events import ControlClient
from localechod.control.messages import StatusReport
from localechod.lab.process import Process, StalledError
from localechod.lab.sandbox import Facts, Stage

_CONFIGURATION = """\
version = 1
[service]
user = "{user}"
group = "{group}"
[control]
admins = ["root"]
[endpoints.stream]
type = "stream"
"""


def grpc(stage: Stage) -> Facts:
    """Start the daemon, ask it for its status by gRPC, end it.

    Raises:
        StalledError: it does not come to serve.
    """
    control = stage.path("run/control.sock")
    daemon = _started(stage)
    report = asyncio.run(_ask(control))
    (endpoint,) = report.endpoints
    mode = Path(control).stat().st_mode  # now: it goes with the daemon
    stage.note(f"control.sock: {stat.filemode(mode)}")
    stage.note(f"Status(): pid {report.daemon.pid}, {endpoint.name} {endpoint.state}")
    daemon.interrupt()
    return {
        "socket": stat.S_ISSOCK(mode),
        "pid": report.daemon.pid == daemon.pid,
        "endpoint": endpoint.state,
        "ending": daemon.end(),
    }


async def _ask(control: str) -> StatusReport:
    async with ControlClient(control) as client:
        return await client.status()


def _started(stage: Stage) -> Process:
    configuration = stage.directory / "localechod.toml"
    user, group = _identity(stage)
    configuration.write_text(_CONFIGURATION.format(user=user, group=group), encoding="utf-8")
    options = ["-c", str(configuration), "--runtime-dir", stage.path("run")]
    # Its package may not be installed, and the stage is not the directory that has it.
    package = str(Path(localechod.__file__).parents[1])
    search = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    # Whoever watches over us is not to hear from this daemon.
    environ = {name: text for name, text in os.environ.items() if name != "NOTIFY_SOCKET"}
    daemon = stage.program(
        " ".join(("localechod", *options)),
        [sys.executable, "-m", "localechod.daemon", *options],
        {**environ, "PYTHONPATH": search},
    )
    while " serves as " not in (line := daemon.line()):
        if not line:
            raise StalledError("the daemon has ended")
    return daemon


def _identity(stage: Stage) -> tuple[str, str]:
    """Name whom a daemon that root starts becomes; started by anyone else it stays who it is."""
    uid, gid = stage.stranger or (os.geteuid(), os.getegid())
    try:
        return pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name
    except KeyError:  # an id without an account, which the daemon of an ordinary user ignores
        return str(uid), str(gid)
