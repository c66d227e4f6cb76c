"""Names of sockets: each command takes back what `localechoctl sockets` prints, whatever it is."""

import json
import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from localechod.ctl import app
from localechod.ctl.options import Options
from localechod.ctl.target import reach, resolve

NAMES = 40


@pytest.fixture
def listeners(sockdir: Path) -> Iterator[list[socket.socket]]:
    """Listeners with random bytes for names, abstract ones and paths."""
    chosen = random.Random(5)  # noqa: S311 - the same names each time
    with ExitStack() as stack:
        found = []
        for number in range(NAMES):
            tail = bytes(chosen.choice(b"\\n\nx\x00\x1b@*[]?%;,:=\xc3\xa9\xff") for _ in range(12))
            abstract = number % 2
            directory = bytes(sockdir) + b"/"
            name = b"\0" + bytes(sockdir) + tail if abstract else directory + tail
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.bind(name if abstract else name.replace(b"\0", b"0"))
            sock.listen()
            found.append(sock)
        yield found


def raw(sock: socket.socket) -> bytes:
    name = sock.getsockname()
    return name if isinstance(name, bytes) else os.fsencode(name)


def test_every_command_takes_back_what_sockets_prints(
    listeners: list[socket.socket], sockdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> Any:
        assert app.run([*words]) == 0, words
        return json.loads(capsys.readouterr().out)

    inodes = {os.fstat(sock.fileno()).st_ino: sock for sock in listeners}
    printed = {row["inode"]: row["path"] for row in run("sockets", "--json")}
    for inode, sock in inodes.items():
        text = printed[inode]
        assert [row["inode"] for row in run("sockets", "--json", text)] == [inode]
        assert run("explain", "--json", text)["path"] == text
        found = resolve(text, Options(f"{sockdir}/control.sock"))  # for `send` and `bench`
        assert found.address.raw == raw(sock)
        with reach(found, 1.0):
            (row,) = run("peers", "--json", text)
        assert (row["path"], row["state"]) == (text, "waiting")
