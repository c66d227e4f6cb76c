"""gRPC over a local socket: a daemon in the sandbox is asked for its status."""

import os
import stat
import sys
from pathlib import Path

import localechod
from localechod.accounts import group_name, user_name
from localechod.control.client import Client
from localechod.lab.process import Process, StalledError
from localechod.lab.sandbox import Facts, Sandbox

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


def grpc(sandbox: Sandbox) -> Facts:
    """Start the daemon, ask it for its status by gRPC, and stop it.

    Raises:
        StalledError: the daemon exited before it was ready.
    """
    control = sandbox.path("run/control.sock")
    daemon = _started(sandbox)
    report = Client(control).status()
    (endpoint,) = report.endpoints
    mode = Path(control).stat().st_mode  # before the daemon stops and removes it
    sandbox.note(f"control.sock: {stat.filemode(mode)}")
    sandbox.note(f"Status(): pid {report.daemon.pid}, {endpoint.name} {endpoint.state}")
    daemon.interrupt()
    return {
        "socket": stat.S_ISSOCK(mode),
        "pid": report.daemon.pid == daemon.pid,
        "endpoint": endpoint.state,
        "termination": daemon.wait(),
    }


def _started(sandbox: Sandbox) -> Process:
    configuration = sandbox.directory / "localechod.toml"
    user, group = _identity(sandbox)
    configuration.write_text(_CONFIGURATION.format(user=user, group=group), encoding="utf-8")
    options = ["-c", str(configuration), "--runtime-dir", sandbox.path("run")]
    # The package may not be installed, and the daemon starts in the sandbox's directory.
    package = str(Path(localechod.__file__).parents[1])
    search = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    # The service manager of this process, if any, must not be notified by this daemon.
    environ = {name: text for name, text in os.environ.items() if name != "NOTIFY_SOCKET"}
    daemon = sandbox.execute(
        " ".join(("localechod", *options)),
        [sys.executable, "-m", "localechod.daemon", *options],
        {**environ, "PYTHONPATH": search},
    )
    while " serves as " not in (line := daemon.read_line()):
        if not line:
            raise StalledError("the daemon has exited")
    return daemon


def _identity(sandbox: Sandbox) -> tuple[str, str]:
    """Return the user and group for the daemon: nobody's if root runs the lab, else our own."""
    uid, gid = sandbox.other_user or (os.geteuid(), os.getegid())
    return user_name(uid), group_name(gid)  # a daemon that is not root ignores them
