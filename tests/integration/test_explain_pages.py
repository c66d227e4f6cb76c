"""Pages of `explain` about real processes, as a person has reviewed them in tests/golden/.

What differs each time gets a fixed name: the directory, the processes.
"""

import ctypes
import dataclasses
import errno
import os
import re
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from localechod.ctl.commands.explain import as_text
from localechod.explain import netns
from localechod.explain.client import of_process, of_user
from localechod.explain.facts import Question
from localechod.explain.report import Report, explain
from tests.golden_pages import compare
from tests.integration.harness import needs_root, until
from tests.integration.situations.namespaces import a_socket_that_was_bound_below_an_overlay
from tests.integration.stage import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    DAEMON,
    GAMES,
    NOBODY,
    STAFF,
    Asked,
    Stage,
    become,
    mount,
    unshare,
)
from tests.unit.sandboxes import ARCH, ERRNO, answering, install

pytestmark = [
    needs_root,
    pytest.mark.skipif(ARCH is None, reason="system calls of this machine are not known"),
    pytest.mark.skipif(not netns.survey().complete, reason="a container hides processes"),
]

SERVER, CLIENT = 812, 4242
PLACE = "/srv/app"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr("localechod.explain.units.unit_of", lambda _: "")
    with ExitStack() as stack:
        yield Stage(stack)


def call_itself(name: str) -> None:
    """Give this process a name (PR_SET_NAME)."""
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)


def serve(stage: Stage, path: str = "s", *, name: str = "appd", **more: Any) -> int:
    """Start a server that listens, and does nothing else; return its pid."""
    before = more.pop("before", lambda: None)

    def act() -> None:
        call_itself(name)
        before()
        if more.get("kind") == socket.SOCK_DGRAM:
            stage.bind(path, **more)
        else:
            stage.listener(path, **more)

    return stage.process(act).pid


Told = tuple[Report, int, int]
"""A report, and the pids of server and client; 0: there is none."""


def asked(ask: Asked, server: int = 0) -> Told:
    return ask.explain(), server, ask.client.pid


def as_user(stage: Stage, user: str, server: int, name: str = "s") -> Told:
    question = Question(os.fsencode(stage.directory / name), None, of_user(user))
    return explain(question), server, 0


def rights(stage: Stage) -> Told:
    stage.folder("private", 0o750, 0, STAFF)
    return as_user(stage, "games", serve(stage, "private/s", mode=0o660, gid=STAFF), "private/s")


def container(stage: Stage) -> Told:
    root = stage.folder("root/run").parent
    server = serve(stage, "root/run/s", mode=0o660, gid=STAFF)

    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        become(20009)

    return asked(stage.ask(b"/run/s", enter=enter), server)


def elsewhere(stage: Stage) -> Told:
    inside = stage.folder("run")

    def hide() -> None:
        unshare(CLONE_NEWNS)
        mount("-t", "tmpfs", "none", inside)

    return asked(stage.ask("run/s"), serve(stage, "run/s", before=hide))


def beside(stage: Stage) -> Told:
    stage.folder("app")
    return asked(stage.ask("app.sock"), serve(stage, "app/app.sock"))


def removed_directory(stage: Stage) -> Told:
    source, point = stage.folder("run"), stage.folder("inside")

    def enter() -> None:
        unshare(CLONE_NEWNS)
        mount("--bind", source, point)
        become(NOBODY)

    ask = stage.ask("inside/s", enter=enter)
    shutil.rmtree(source)
    stage.folder("run")
    return asked(ask, serve(stage, "run/s"))


def session(stage: Stage) -> Told:
    server = serve(stage, mode=0o660, gid=60)  # the login group of games, on Debian

    def log_in() -> None:
        call_itself("tmux: server")
        become(GAMES)

    return asked(stage.ask(enter=log_in), server)


def overlay(stage: Stage) -> Told:
    return asked(a_socket_that_was_bound_below_an_overlay(stage))


def filtered(stage: Stage) -> Told:
    client = stage.process(lambda: install(answering("connect", ERRNO | errno.EPERM)))
    server = serve(stage)
    name = os.fsencode(stage.directory / "s")
    question = Question(name, None, of_process(client.pid), client.pid, filters=True)
    return explain(question), server, client.pid


def stopped(stage: Stage) -> Told:
    server = serve(stage)
    os.kill(server, signal.SIGSTOP)
    stage.stack.callback(os.kill, server, signal.SIGCONT)
    status = Path(f"/proc/{server}/stat")
    until(lambda: status.read_text("utf-8").rpartition(")")[2].split()[0] == "T")
    return as_user(stage, "games", server)


def full(stage: Stage) -> Told:
    server = serve(stage, kind=socket.SOCK_DGRAM)
    name = os.fsencode(stage.directory / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as client:
        client.connect(name)
        with suppress(BlockingIOError):
            while True:
                client.send(b"x")
        return explain(Question(name, None, of_user("games")), probing=True), server, 0


def former(stage: Stage) -> Told:
    path = stage.directory / "s"

    def accept() -> None:
        call_itself("appd")
        threading.Thread(target=keep_all, args=(stage.listener(),), daemon=True).start()

    stage.process(accept)
    client = stage.process(lambda: keep(path))
    # The kernel lists the end of the server only once it has been accepted.
    until(lambda: as_user(stage, "root", 0)[0].served is True)
    path.unlink()
    server = serve(stage)
    report = explain(Question(os.fsencode(path), None, of_process(client.pid), client.pid))
    return report, server, client.pid


def keep_all(listener: socket.socket) -> None:
    """Accept, and keep every connection."""
    kept = []
    while True:
        kept.append(listener.accept())


def keep(path: Path) -> None:
    """Connect, and keep the connection."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    os.set_inheritable(client.detach(), True)  # so that nothing closes it


def agent(stage: Stage) -> Told:
    stage.folder("agent", 0o700, DAEMON)
    server = serve(stage, "agent/s", name="ssh-agent", mode=0o600, uid=DAEMON)
    return as_user(stage, "games", server, "agent/s")


def other_root(stage: Stage) -> Told:
    """A path through /proc/PID/root, with a client that may not follow it."""
    inside = stage.folder("inside")

    def hide() -> None:
        unshare(CLONE_NEWNS)
        mount("-t", "tmpfs", "none", inside)

    server = serve(stage, "inside/s", before=hide)
    name = f"/proc/{server}/root{inside}/s".encode()
    return asked(stage.ask(name), server)


def abstract(stage: Stage, tail: bytes) -> bytes:
    name = b"\0app-" + stage.directory.name.encode()[3:] + tail
    sock = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
    sock.bind(name)
    sock.listen()
    return name.rstrip(b"\0")


def padded(stage: Stage) -> Told:
    return asked(stage.ask(abstract(stage, b"\0" * 95)))


def other_network(stage: Stage) -> Told:
    def listen() -> None:
        call_itself("appd")
        unshare(CLONE_NEWNET)
        abstract(stage, b"")

    server = stage.process(listen).pid
    return asked(stage.ask(b"\0app-" + stage.directory.name.encode()[3:]), server)


def redirect(stage: Stage) -> Told:
    server = serve(stage, "real", name="gpg-agent")
    file = stage.directory / "S.gpg-agent"
    file.write_bytes(b"%Assuan%\nsocket=" + bytes(stage.directory) + b"/real\n")
    file.chmod(0o666)
    return asked(stage.ask("S.gpg-agent"), server)


def missing_source(stage: Stage) -> Told:
    stage.folder("app.sock", 0o777)
    return asked(stage.ask("app.sock"))


PAGES: dict[str, Callable[[Stage], Told]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        rights, container, elsewhere, beside, removed_directory, session, overlay, filtered,
        stopped, full, former, agent, other_root, padded, other_network, redirect, missing_source,
    )
}  # fmt: skip


def renamed(value: Any, names: dict[str, str]) -> Any:
    """Return a report with other names in every text of it."""
    if isinstance(value, bytes):
        return os.fsencode(renamed(os.fsdecode(value), names))
    if isinstance(value, str):
        for pattern, name in names.items():
            value = re.sub(pattern, name, value)
        return value
    if isinstance(value, tuple):
        return tuple(renamed(each, names) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return type(value)(**{name: renamed(each, names) for name, each in fields.items()})
    return value


@pytest.mark.parametrize("name", PAGES)
def test_a_page_about_real_processes_is_as_reviewed(
    name: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    report, server, client = PAGES[name](stage)
    names = {
        re.escape(str(stage.directory)): PLACE,
        rf"{stage.directory.parent} \(drwxrwxrwt": "/srv (drwxr-xr-x",
        re.escape(stage.directory.name[3:]): "0001",
        rf"\b{os.getpid()}\b": "900",
        r"; \d+ process(es)? could not be inspected": "",
        r"\d+ at present": "10 at present",  # systemd sets 512
    }
    names |= {rf"\b{pid}\b": str(new) for pid, new in ((server, SERVER), (client, CLIENT)) if pid}
    length = len(renamed(report.question.name, names))
    names[r"\d+( of 10[78] bytes)"] = rf"{length}\1"
    shown: Report = renamed(report, names)
    question = dataclasses.replace(shown.question, pid=report.question.pid and CLIENT)
    page = as_text(dataclasses.replace(shown, question=question)) + "\n"
    compare(f"explain-real-{name}-80", page)
