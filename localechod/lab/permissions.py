"""Who may bind and who may connect, and what the machine shows of it."""

import os
import socket
import stat
from pathlib import Path

from localechod.lab.experiment import Experiment
from localechod.lab.sandbox import STREAM, Facts, SkippedError, Stage
from localechod.localsocket import diag


def bind_denied(stage: Stage) -> Facts:
    """Bind in a directory where one may not write, as /var/lib is to an ordinary user."""
    directory = stage.directory / "var-lib"
    directory.mkdir()
    # Root is stopped by no mode, hence another user; who is none takes his own right away.
    directory.chmod(0o755 if stage.stranger else 0o555)
    stage.run("ls", "-ld", str(directory))
    server = stage.peer("streamserver", f"var-lib/{STREAM}", ids=stage.stranger)
    ending = server.end()
    directory.chmod(0o755)
    return {"server": server.screen[0], "ending": ending, "file": (directory / STREAM).exists()}


def bind_root(stage: Stage) -> Facts:
    """The same as root."""
    if os.geteuid() != 0:
        raise SkippedError("root")
    directory = stage.directory / "var-lib"
    directory.mkdir(mode=0o755)
    server = stage.peer("streamserver", f"var-lib/{STREAM}")
    first = server.line()
    stage.run("ls", "-al", str(directory / STREAM))
    return {"server": first, "owner": (directory / STREAM).stat().st_uid, "runs": server.runs}


def socket_file(stage: Stage) -> Facts:
    """See the file before and after the bind."""
    path = stage.directory / STREAM
    before = path.exists()
    stage.peer("streamserver", STREAM).line()
    stage.run("ls", "-al", str(path))
    status = path.lstat()
    return {"before": before, "socket": stat.S_ISSOCK(status.st_mode), "size": status.st_size}


def equals_sign(stage: Stage) -> Facts:
    """List a socket with and without -F, which many shells have in an alias of ls."""
    path = stage.path(STREAM)
    stage.peer("streamserver", STREAM).line()
    (plain,) = stage.run("ls", "-al", path)
    (classified,) = stage.run("ls", "-alF", path)
    return {
        "ls -al begins with": plain[0],
        "ls -al ends with =": plain.endswith("="),
        "ls -alF ends with =": classified.endswith("="),
    }


def listing(stage: Stage) -> Facts:
    """Ask the kernel who listens where, as netstat and ss do."""
    server = stage.peer("streamserver", STREAM)
    server.line()
    (found,) = diag.named(os.fsencode(stage.path(STREAM)))
    (holder,) = diag.holders(found.inode)
    state = "LISTENING" if found.state == diag.STATE_LISTEN else str(found.state)
    kind = "STREAM" if found.type == socket.SOCK_STREAM else str(found.type)
    name = os.fsdecode(found.name or b"")
    stage.note("UNIX_DIAG, /proc/*/fd:")
    stage.note(f"unix  {kind}  {state}  {holder.pid}/{holder.command}  {name}")
    return {
        "type": kind,
        "state": state,
        "program": holder.command,
        "its pid": holder.pid == server.pid,
        "its path": name == stage.path(STREAM),
    }


def client_denied(stage: Stage) -> Facts:
    """Connect as a user who may not write to the socket; then as one who may."""
    stage.peer("streamserver", STREAM).line()
    path = Path(stage.path(STREAM))
    if not stage.stranger:
        path.chmod(0o555)  # the owner himself may not write to it then
    stage.run("ls", "-l", str(path))
    refused = stage.peer("streamclient", STREAM, ids=stage.stranger)
    refused.end()
    stage.run("chmod", "666", str(path))
    allowed = stage.peer("streamclient", STREAM, ids=stage.stranger)
    allowed.type("g1")
    return {"client": refused.screen[0], "client after chmod 666": allowed.line()}


EXPERIMENTS = (
    Experiment(
        "bind-denied",
        bind_denied,
        {"server": "bind failed: Permission denied (13)", "ending": "exit 1", "file": False},
    ),
    Experiment("bind-root", bind_root, {"server": "(listening)", "owner": 0, "runs": True}),
    Experiment("socket-file", socket_file, {"before": False, "socket": True, "size": 0}),
    Experiment(
        "equals-sign",
        equals_sign,
        {"ls -al begins with": "s", "ls -al ends with =": False, "ls -alF ends with =": True},
        claimed={"ls -al begins with": "r", "ls -al ends with =": True},
    ),
    Experiment(
        "listing",
        listing,
        {
            "type": "STREAM",
            "state": "LISTENING",
            "program": "streamserver",
            "its pid": True,
            "its path": True,
        },
    ),
    Experiment(
        "client-denied",
        client_denied,
        {
            "client": "connect failed: Permission denied (13)",
            "client after chmod 666": "Hi, g1",
        },
    ),
)
