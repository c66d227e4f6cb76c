"""`explain` and a client in a sandbox: never "works" where the client's own calls fail.

Each client prepares its sandbox, waits while explain looks at it from outside, explains itself, and
at last makes its calls. A child makes them, because a filter may end it.
"""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localechod.explain import sandbox
from localechod.explain.client import of_process
from localechod.explain.facts import Question
from localechod.explain.report import explain
from tests.integration.harness import needs_root
from tests.unit.sandboxes import (
    ALLOW,
    ARCH,
    ERRNO,
    KILL,
    answering,
    enter_landlock,
    install,
    packed,
    process,
)

pytestmark = [
    needs_root,
    pytest.mark.skipif(ARCH is None, reason="system calls of this machine are not known"),
]

FILTERS = {
    "family": (answering("socket", ERRNO | errno.EAFNOSUPPORT, socket.AF_UNIX),),
    "another family": (answering("socket", ERRNO | errno.EAFNOSUPPORT, socket.AF_INET),),
    "socket": (answering("socket", ERRNO | errno.EPERM),),
    "socket, killed": (answering("socket", KILL),),
    "connect": (answering("connect", ERRNO | errno.EPERM),),
    "connect, another errno": (answering("connect", ERRNO | errno.ENOSYS),),
    "connect, killed": (answering("connect", KILL),),
    "connect, one descriptor": (answering("connect", ERRNO | errno.EPERM, 3),),
    "sendto": (answering("sendto", ERRNO | errno.EPERM),),
    "two": (answering("sendmsg", KILL), answering("connect", ERRNO | errno.EACCES)),
    "nothing": ([(0x06, 0, 0, ALLOW)],),
}


@pytest.fixture
def path(sockdir: Path) -> Iterator[bytes]:
    """A socket that accepts everybody."""
    name = sockdir / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(name))
        server.listen()
        name.chmod(0o666)
        yield os.fsencode(name)


def connected(name: bytes) -> int:
    """Return what socket and connect do: 0, an errno, or the negative number of a signal."""
    child = os.fork()
    if not child:
        code = 255
        try:
            with socket.socket(socket.AF_UNIX) as client:
                code = client.connect_ex(name)
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def outside(pid: int, name: bytes, *, filters: bool = True) -> int | None:
    return explain(Question(name, None, of_process(pid), pid, filters)).verdict.number


def doing(prepare: Callable[[], None], action: Callable[[], int | None]) -> int | None:
    """Return what a function returns in the sandbox."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            prepare()
            os.write(writing, json.dumps(action()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        returned: int | None = json.load(pipe)
    os.waitpid(child, 0)
    return returned


def inside(name: bytes) -> int | None:
    return explain(Question(name, None, of_process(os.getpid()))).verdict.number


@pytest.mark.parametrize("kind", FILTERS)
def test_filters_are_foretold_from_outside_and_inside(path: bytes, kind: str) -> None:
    def prepare() -> None:
        for each in FILTERS[kind]:
            install(each)

    with process(prepare) as pid:
        unread, read = outside(pid, path, filters=False), outside(pid, path)
    did = doing(prepare, lambda: connected(path))
    assert unread is None
    assert read in ({did, None} if kind == "connect, one descriptor" else {did})


@pytest.mark.parametrize("kind", [kind for kind in FILTERS if "killed" not in kind])
def test_explain_in_the_sandbox_tries_the_calls(path: bytes, kind: str) -> None:
    """Where a filter ends the client, it ends explain too: glibc asks nscd for names."""

    def prepare() -> None:
        for each in FILTERS[kind]:
            install(each)

    did = doing(prepare, lambda: connected(path))
    # explain asks for the list of sockets by sendto, so without it nothing is known in there.
    expected = None if kind == "sendto" else did
    assert doing(prepare, lambda: inside(path)) == expected


def test_a_filter_that_was_not_read_leaves_success_open_also_to_a_probe(path: bytes) -> None:
    """The process that probes for another one does not have its filters."""
    with process(lambda: install(answering("connect", KILL))) as pid:
        for probing in (False, True):
            report = explain(Question(path, None, of_process(pid), pid), probing=probing)
            assert (report.verdict.number, report.exit_status) == (None, 6)
            assert report.verdict.text == (
                f"connect should work, unless the seccomp filter of process {pid} forbids it"
            )
            assert "--filters" in report.verdict.remedy.text
        question = Question(path, None, of_process(pid), pid, filters=True)
        assert explain(question, probing=True).verdict.number == -signal.SIGSYS


def test_what_is_certain_comes_before_what_is_not(path: bytes) -> None:
    Path(os.fsdecode(path)).unlink()
    with process(lambda: install(answering("connect", KILL))) as pid:
        assert outside(pid, path, filters=False) == errno.ENOENT
        assert outside(pid, path) == -signal.SIGSYS


@pytest.mark.skipif(
    sandbox.landlock_version() < sandbox.ABSTRACT_NAMES, reason="Landlock has no scopes here"
)
def test_a_landlock_domain_leaves_it_open() -> None:
    name = b"\0" + os.urandom(8).hex().encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        assert doing(enter_landlock, lambda: connected(name)) == errno.EPERM
        assert doing(enter_landlock, lambda: inside(name)) is None
        with process(enter_landlock) as pid:
            assert outside(pid, name) is None
        with process(lambda: None) as pid:
            assert outside(pid, name) == 0


@pytest.mark.skipif(
    sandbox.landlock_version() < sandbox.ABSTRACT_NAMES, reason="Landlock has no scopes here"
)
def test_a_probe_in_the_domain_tells() -> None:
    name = b"\0" + os.urandom(8).hex().encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        report = _inside_command(enter_landlock, os.fsdecode(b"@" + name[1:]), "--probe")
    assert report["errno"] == errno.EPERM


def _inside_command(prepare: Callable[[], None], *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "localechod.ctl", "explain", "--json", *words],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=prepare,
        check=False,
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
@pytest.mark.parametrize("kind", ["family", "connect, killed", "another family"])
def test_bubblewraps_filter(path: bytes, kind: str) -> None:
    reading, writing = os.pipe()
    os.write(writing, packed(FILTERS[kind][0]))
    os.close(writing)
    code = (
        "import os, signal, socket, sys\n"
        "print(os.getpid(), flush=True)\n"
        "sys.stdin.readline()\n"
        "try: print(socket.socket(socket.AF_UNIX).connect_ex(sys.argv[1]))\n"
        "except OSError as error: print(error.errno)\n"
    )
    command = [
        "bwrap",
        "--dev-bind",
        "/",
        "/",
        "--seccomp",
        str(reading),
        sys.executable,
        "-c",
        code,
    ]
    client = subprocess.Popen(
        [*command, os.fsdecode(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[reading], text=True,
    )  # fmt: skip
    os.close(reading)
    with client:
        assert client.stdin is not None
        assert client.stdout is not None
        pid = int(client.stdout.readline())
        said = outside(pid, path)
        client.stdin.write("\n")
        client.stdin.flush()
        answer = client.stdout.read()
    assert said == (int(answer) if answer else -signal.SIGSYS)
