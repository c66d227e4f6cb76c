"""Paths that are relative, in use, too long, or not of a socket; and names without a path."""

import ctypes
import os
import socket
import struct
from functools import partial

from localechod.lab.experiment import Experiment
from localechod.lab.sandbox import STREAM, Facts, Sandbox, call, local

_LONGEST = 107  # bytes; sizeof(sun_path) is 108, and the last byte is the NUL


def absolute_required(sandbox: Sandbox) -> Facts:
    """Bind and connect by a relative path, in the same directory."""

    def calls() -> None:
        server, client = local(), local()
        call(f'bind("{STREAM}")', lambda: server.bind(STREAM))
        server.listen()
        call(f'connect("{STREAM}")', lambda: client.connect(STREAM))

    bound, connected = sandbox.results(calls)
    return {"bind": bound, "connect": connected}


def relative_elsewhere(sandbox: Sandbox) -> Facts:
    """Change directory between a bind and a connect by the same relative path."""
    (sandbox.directory / "elsewhere").mkdir()

    def calls() -> None:
        server = local()
        call(f'bind("{STREAM}")', lambda: server.bind(STREAM))
        server.listen()
        call(f'connect("{STREAM}")', lambda: local().connect(STREAM))
        call('chdir("elsewhere")', lambda: os.chdir("elsewhere"))
        call(f'connect("{STREAM}")', lambda: local().connect(STREAM))

    _, here, _, there = sandbox.results(calls)
    return {"connect here": here, "connect elsewhere": there}


def directory_path(sandbox: Sandbox) -> Facts:
    """Start the server with the path of a directory."""
    (sandbox.directory / "directory").mkdir()
    server = sandbox.program("streamserver", "directory")
    termination = server.wait()
    return {"server": server.transcript[0], "termination": termination}


def leftover(sandbox: Sandbox) -> Facts:
    """Bind to the file that a killed server left behind, without unlink and with it."""
    path = sandbox.path(STREAM)
    killed = sandbox.program("streamserver", STREAM)
    killed.read_line()
    killed.kill()
    killed.wait()

    def calls() -> None:
        server = local()
        call(f'bind("{path}")', lambda: server.bind(path))
        call(f'unlink("{path}")', lambda: os.unlink(path))  # noqa: PTH108 - the call that is shown
        call(f'bind("{path}")', lambda: server.bind(path))

    first, _, second = sandbox.results(calls)
    return {"bind": first, "bind after unlink": second}


def unlink_destroys(sandbox: Sandbox) -> Facts:
    """Start a server on the path of a regular file."""
    path = sandbox.directory / "notes.txt"
    path.write_text("a year's work\n", encoding="utf-8")
    sandbox.run("ls", "-l", str(path))
    server = sandbox.program("streamserver", path.name)
    shown = server.read_line()
    sandbox.run("ls", "-l", str(path))
    return {"server": shown, "regular file remains": path.is_file()}


def unlink_steals(sandbox: Sandbox) -> Facts:
    """Start a second server on the path of a running one."""
    first = sandbox.program("streamserver", STREAM)
    first.read_line()
    second = sandbox.program("streamserver", STREAM)
    started = second.read_line()
    client = sandbox.program("streamclient", STREAM)
    client.type("g1")
    client.read_line()
    received = second.read_line()
    return {
        "second server": started,
        "second server receives": received,
        "first server runs": first.running,
    }


def path_too_long(sandbox: Sandbox) -> Facts:
    """Bind the longest path that fits into sun_path, and a path longer than sun_path."""
    stem = sandbox.path("x")

    def calls() -> None:
        for length in (_LONGEST, _LONGEST + 2):
            path = stem.ljust(length, "x").encode()
            call(f"bind({length} bytes)", partial(_raw, "bind", local(), path))

    fits, too_long = sandbox.results(calls)
    return {"107 bytes": fits, "109 bytes": too_long}


def own_family(sandbox: Sandbox) -> Facts:
    """Connect a TCP socket to the address of a local socket."""
    path = sandbox.path(STREAM)

    def calls() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        call(f'connect(AF_INET socket, "{path}")', lambda: _raw("connect", sock, path.encode()))

    (connected,) = sandbox.results(calls)
    return {"connect": connected}


def _raw(name: str, sock: socket.socket, path: bytes) -> None:
    """Call bind(2) or connect(2) with a sockaddr_un that Python's socket module would refuse.

    Raises:
        OSError: the call failed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # The kernel refuses any address longer than the 110 bytes of sockaddr_un.
    address = struct.pack("=H", socket.AF_UNIX) + path.ljust(16, b"\0")
    if getattr(libc, name)(sock.fileno(), address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def file_is_the_address(sandbox: Sandbox) -> Facts:
    """Rename the file of a listening socket, then connect by either name."""
    old, new = sandbox.path(STREAM), sandbox.path("renamed.sock")
    sandbox.program("streamserver", STREAM).read_line()
    sandbox.run("mv", old, new)

    def calls() -> None:
        call(f'connect("{old}")', lambda: local().connect(old))
        call(f'connect("{new}")', lambda: local().connect(new))

    by_old, by_new = sandbox.results(calls)
    return {"connect by the old name": by_old, "connect by the new name": by_new}


def abstract(sandbox: Sandbox) -> Facts:
    """Bind and connect by a name that begins with a NUL byte: there is no file."""
    name = f"\0{sandbox.directory.name}"

    def calls() -> None:
        server, client = local(), local()
        call('bind("@...")', lambda: server.bind(name))
        server.listen()
        call('connect("@...")', lambda: client.connect(name))

    bound, connected = sandbox.results(calls)
    files = sum(1 for _ in sandbox.directory.iterdir())
    sandbox.note(f"files: {files}")
    return {"bind": bound, "connect": connected, "files": files}


EXPERIMENTS = (
    Experiment(
        "absolute-required",
        absolute_required,
        {"bind": "0", "connect": "0"},
        claimed={"bind": "EINVAL"},
    ),
    Experiment(
        "relative-elsewhere",
        relative_elsewhere,
        {"connect here": "0", "connect elsewhere": "ENOENT"},
    ),
    Experiment(
        "directory-path",
        directory_path,
        {"server": "bind failed: Address already in use (98)", "termination": "exit 1"},
    ),
    Experiment("leftover", leftover, {"bind": "EADDRINUSE", "bind after unlink": "0"}),
    Experiment(
        "unlink-destroys",
        unlink_destroys,
        {"server": "(listening)", "regular file remains": False},
        claimed={"regular file remains": True},
    ),
    Experiment(
        "unlink-steals",
        unlink_steals,
        {
            "second server": "(listening)",
            "second server receives": "Receive: g1",
            "first server runs": True,
        },
        claimed={"second server": "bind failed: Address already in use (98)"},
    ),
    Experiment(
        "path-too-long",
        path_too_long,
        {"107 bytes": "0", "109 bytes": "EINVAL"},
        claimed={"109 bytes": "0"},
    ),
    Experiment("own-family", own_family, {"connect": "EAFNOSUPPORT"}),
    Experiment(
        "file-is-the-address",
        file_is_the_address,
        {"connect by the old name": "ENOENT", "connect by the new name": "0"},
    ),
    Experiment(
        "abstract",
        abstract,
        {"bind": "0", "connect": "0", "files": 0},
        claimed={"files": 1},
    ),
)
