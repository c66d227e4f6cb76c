"""Permission to bind and to connect, and how commands show a socket and its permissions."""

import os
import socket
import stat
from pathlib import Path

from localechod.lab.experiment import Experiment
from localechod.lab.sandbox import STREAM, Facts, Sandbox, SkippedError
from localechod.localsocket import diag


def bind_denied(sandbox: Sandbox) -> Facts:
    """Bind in a directory without write permission, as an ordinary user in /var/lib."""
    directory = sandbox.directory / "var-lib"
    directory.mkdir()
    # No mode stops root, so root starts the server as another user. An ordinary user removes their
    # own permission.
    directory.chmod(0o755 if sandbox.other_user else 0o555)
    sandbox.run("ls", "-ld", str(directory))
    server = sandbox.program("streamserver", f"var-lib/{STREAM}", ids=sandbox.other_user)
    termination = server.wait()
    directory.chmod(0o755)
    return {
        "server": server.transcript[0],
        "termination": termination,
        "file": (directory / STREAM).exists(),
    }


def bind_root(sandbox: Sandbox) -> Facts:
    """Bind in the same directory as root."""
    if os.geteuid() != 0:
        raise SkippedError("root")
    directory = sandbox.directory / "var-lib"
    directory.mkdir(mode=0o755)
    server = sandbox.program("streamserver", f"var-lib/{STREAM}")
    first = server.read_line()
    sandbox.run("ls", "-al", str(directory / STREAM))
    return {"server": first, "owner": (directory / STREAM).stat().st_uid, "running": server.running}


def socket_file(sandbox: Sandbox) -> Facts:
    """Look at the file before and after bind."""
    path = sandbox.directory / STREAM
    before = path.exists()
    sandbox.program("streamserver", STREAM).read_line()
    sandbox.run("ls", "-al", str(path))
    status = path.lstat()
    return {"before": before, "socket": stat.S_ISSOCK(status.st_mode), "size": status.st_size}


def equals_sign(sandbox: Sandbox) -> Facts:
    """List a socket with and without -F, which is part of the ls alias in many shells."""
    path = sandbox.path(STREAM)
    sandbox.program("streamserver", STREAM).read_line()
    (plain,) = sandbox.run("ls", "-al", path)
    (classified,) = sandbox.run("ls", "-alF", path)
    return {
        "ls -al begins with": plain[0],
        "ls -al ends with =": plain.endswith("="),
        "ls -alF ends with =": classified.endswith("="),
    }


def listing(sandbox: Sandbox) -> Facts:
    """Ask the kernel for the listening socket and its process, as netstat and ss do."""
    server = sandbox.program("streamserver", STREAM)
    server.read_line()
    (found,) = diag.named(os.fsencode(sandbox.path(STREAM)))
    (holder,) = diag.holders(found.inode)
    state = "LISTENING" if found.state == diag.STATE_LISTEN else str(found.state)
    kind = "STREAM" if found.type == socket.SOCK_STREAM else str(found.type)
    name = os.fsdecode(found.name or b"")
    sandbox.note("UNIX_DIAG, /proc/*/fd:")
    sandbox.note(f"unix  {kind}  {state}  {holder.pid}/{holder.command}  {name}")
    return {
        "type": kind,
        "state": state,
        "program": holder.command,
        "its pid": holder.pid == server.pid,
        "its path": name == sandbox.path(STREAM),
    }


def client_denied(sandbox: Sandbox) -> Facts:
    """Connect without write permission to the socket, then with it."""
    sandbox.program("streamserver", STREAM).read_line()
    path = Path(sandbox.path(STREAM))
    if not sandbox.other_user:
        path.chmod(0o555)  # denies write permission to the owner as well
    sandbox.run("ls", "-l", str(path))
    refused = sandbox.program("streamclient", STREAM, ids=sandbox.other_user)
    refused.wait()
    sandbox.run("chmod", "666", str(path))
    allowed = sandbox.program("streamclient", STREAM, ids=sandbox.other_user)
    allowed.type("g1")
    return {"client": refused.transcript[0], "client after chmod 666": allowed.read_line()}


EXPERIMENTS = (
    Experiment(
        "bind-denied",
        bind_denied,
        {"server": "bind failed: Permission denied (13)", "termination": "exit 1", "file": False},
    ),
    Experiment("bind-root", bind_root, {"server": "(listening)", "owner": 0, "running": True}),
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
