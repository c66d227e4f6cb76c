"""Requests to bind, as this user or as nobody, and the errors of those that fail."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import localechod
from localechod.errors import SocketError
from localechod.localsocket.address import Address
from localechod.localsocket.bind import bind
from localechod.localsocket.bound import Request

SOURCE = str(Path(localechod.__file__).parents[1])
NOBODY = 65534


def request(
    path: Path | str,
    type_: int = socket.SOCK_STREAM,
    *,
    mode: int = 0o640,
    uid: int = -1,
    gid: int = -1,
) -> Request:
    return Request(Address.parse(str(path)), type_, mode, uid, gid, backlog=5)


def refused(asked: Request) -> SocketError:
    """Return the error of a bind that must fail; it must not leak a descriptor either."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(SocketError) as caught:
        bind(asked)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    return caught.value


def as_nobody(code: str, *arguments: object) -> None:
    """Run code as nobody, in a process that began as root and imported everything before."""
    begin = f"""
        import errno, os, socket, stat, sys
        from pathlib import Path
        from localechod.errors import SocketError
        from localechod.localsocket.address import Address
        from localechod.localsocket.bind import bind
        from localechod.localsocket.bound import Request
        def request(path, **changes):
            return Request(Address.parse(str(path)), **(
                dict(type=socket.SOCK_STREAM, mode=0o600, uid=-1, gid=-1, backlog=5) | changes))
        def drop():
            os.setgroups([])
            os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
            os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
    """
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(begin) + textwrap.dedent(code),
            *map(str, arguments),
        ],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if done.returncode == 77:
        pytest.skip("no mount namespace to be had here")
    assert done.returncode == 0, done.stderr
