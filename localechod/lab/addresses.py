"""Paths: relative, taken, too long, of a directory, of a regular file; and names without a path."""

import ctypes
import os
import socket
import struct
from functools import partial

from localechod.lab.experiment import Experiment
from localechod.lab.sandbox import STREAM, Facts, Sandbox, call, local

_LONGEST = 107  # sizeof(sun_path) is 108, one of them for the NUL


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
    """Give the server a directory for its path."""
    (sandbox.directory / "directory").mkdir()
    server = sandbox.program("streamserver", "directory")
    termination = server.wait()
    return {"server": server.transcript[0], "termination": termination}


def leftover(sandbox: Sandbox) -> Facts:
    """Start on the file of a server that was killed, without and with unlink."""
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
    """Start a server on the path of somebody's regular file."""
    path = sandbox.directory / "notes.txt"
    path.write_text("a year's work\n", encoding="utf-8")
    sandbox.run("ls", "-l", str(path))
    server = sandbox.program("streamserver", path.name)
    said = server.read_line()
    sandbox.run("ls", "-l", str(path))
    return {"server": said, "regular file remains": path.is_file()}


def unlink_steals(sandbox: Sandbox) -> Facts:
    """Start a second server on the path of one that serves."""
    first = sandbox.program("streamserver", STREAM)
    first.read_line()
    second = sandbox.program("streamserver", STREAM)
    said = second.read_line()
    client = sandbox.program("streamclient", STREAM)
    client.type("g1")
    client.read_line()
    heard = second.read_line()
    return {"second server": said, "second server hears": heard, "first server runs": first.running}


def path_too_long(sandbox: Sandbox) -> Facts:
    """Bind the longest path that fits into sun_path, and one byte more than sun_path has."""
    stem = sandbox.path("x")

    def calls() -> None:
        for length in (_LONGEST, _LONGEST + 2):
            path = stem.ljust(length, "x").encode()
            call(f"bind({length} bytes)", partial(_raw, "bind", local(), path))

    fits, too_long = sandbox.results(calls)
    return {"107 bytes": fits, "109 bytes": too_long}


def own_family(sandbox: Sandbox) -> Facts:
    """Give a TCP socket the address of a local one."""
    path = sandbox.path(STREAM)

    def calls() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        call(f'connect(AF_INET socket, "{path}")', lambda: _raw("connect", sock, path.encode()))

    (connected,) = sandbox.results(calls)
    return {"connect": connected}


def _raw(name: str, sock: socket.socket, path: bytes) -> None:
    """Call bind(2) or connect(2) with a sockaddr_un; Python itself refuses these two before.

    Raises:
        OSError: the kernel's answer.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # Not a byte more than the 110 of sockaddr_un is needed to see what becomes of a longer path.
    address = struct.pack("=H", socket.AF_UNIX) + path.ljust(16, b"\0")
    if getattr(libc, name)(sock.fileno(), address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def file_is_the_address(sandbox: Sandbox) -> Facts:
    """Rename a listening socket's file, then connect by both names."""
    old, new = sandbox.path(STREAM), sandbox.path("renamed.sock")
    sandbox.program("streamserver", STREAM).read_line()
    sandbox.run("mv", old, new)

    def calls() -> None:
        call(f'connect("{old}")', lambda: local().connect(old))
        call(f'connect("{new}")', lambda: local().connect(new))

    by_old, by_new = sandbox.results(calls)
    return {"connect by the old name": by_old, "connect by the new name": by_new}


def abstract(sandbox: Sandbox) -> Facts:
    """Bind and connect by a name that begins with a NUL: there is no file at all."""
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
            "second server hears": "Receive: g1",
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
