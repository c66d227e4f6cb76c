"""`explain` where connect works and nobody answers: real servers that are stopped, busy or full."""

import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from localechod.explain import liveness
from localechod.explain.client import of_process
from localechod.explain.facts import Question
from localechod.explain.report import Report, explain
from tests.integration.harness import needs_root, until
from tests.integration.stage import CLONE_NEWNET, Stage, unshare
from tests.unit.explain_fakes import listener

pytestmark = needs_root
LIMIT = Path("/proc/sys/net/unix/max_dgram_qlen")

Serve = Callable[[socket.socket], None]


def nothing(_server: socket.socket) -> None:
    signal.pause()


def accept(server: socket.socket) -> None:
    while True:
        server.accept()[0].close()


def keep(server: socket.socket) -> None:
    kept = []
    while True:
        kept.append(server.accept()[0])


def receive(server: socket.socket) -> None:
    while True:
        server.recv(100)


def exhaust(server: socket.socket) -> None:
    """Take all descriptors, then wait in accept for one, as many servers do."""
    soft = max(int(each.name) for each in Path("/proc/self/fd").iterdir()) + 3
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            signal.sigtimedwait([], 0.02)


@contextmanager
def serving(path: Path, serve: Serve, type_: int = socket.SOCK_STREAM) -> Iterator[int]:
    """Run a server in a process of its own; give its pid."""
    with socket.socket(socket.AF_UNIX, type_) as server:
        server.bind(str(path))
        if type_ != socket.SOCK_DGRAM:
            server.listen(4)
        pid = os.fork()
        if not pid:
            try:
                serve(server)
            finally:
                os._exit(1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextmanager
def clients(path: Path, count: int, type_: int = socket.SOCK_STREAM) -> Iterator[None]:
    made = [socket.socket(socket.AF_UNIX, type_) for _ in range(count)]
    try:
        for each in made:
            each.connect(str(path))
            if type_ == socket.SOCK_DGRAM:
                each.send(b"x")
        yield
    finally:
        for each in made:
            each.close()


def explained(path: Path, pid: int | None = None) -> Report:
    return explain(Question(os.fsencode(path), None, of_process(pid or os.getpid()), pid))


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "T"


def test_a_server_that_accepts_serves(sockdir: Path) -> None:
    with serving(sockdir / "s", accept), clients(sockdir / "s", 2):
        until(lambda: explained(sockdir / "s").served is True)
        assert explained(sockdir / "s").verdict.text == "connect works"


def test_a_server_that_is_stopped_does_not_and_the_command_lets_it_go_on(sockdir: Path) -> None:
    with serving(sockdir / "s", accept) as pid:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: is_stopped(pid))
        report = explained(sockdir / "s")
        assert report.served is False
        assert report.exit_status == 0
        assert report.verdict.text.startswith("connect works, but nobody answers: ")
        assert report.verdict.text.endswith(f"({pid}) is stopped by a signal")
        subprocess.run(["sh", "-c", *report.verdict.remedy.commands], check=True)
        until(lambda: explained(sockdir / "s").served is True)


@pytest.mark.parametrize("waiting", [1, 3, 5])
def test_a_queue_that_does_not_move_is_told_also_where_it_is_full(
    sockdir: Path, waiting: int
) -> None:
    with serving(sockdir / "s", nothing) as pid, clients(sockdir / "s", waiting):
        report = explained(sockdir / "s")
    assert report.served is False
    (check,) = (each for each in report.checks if each.name == "server")
    assert check.detail.endswith(f"({pid}) accepted none in 0.1 s")
    assert report.verdict.number == (11 if waiting > 4 else 0)
    assert f"/proc/{pid}/wchan" in report.verdict.remedy.text


def test_a_server_without_descriptors_gets_some_by_the_command(sockdir: Path) -> None:
    with serving(sockdir / "s", exhaust) as pid, clients(sockdir / "s", 2):
        until(lambda: explained(sockdir / "s").served is False)
        report = explained(sockdir / "s")
        assert f"({pid}) has all " in report.verdict.text
        subprocess.run(["sh", "-c", *report.verdict.remedy.commands], check=True)
        until(lambda: explained(sockdir / "s").served is True)


def test_messages_that_nobody_reads_are_told(sockdir: Path) -> None:
    kind = socket.SOCK_DGRAM
    with serving(sockdir / "s", nothing, kind), clients(sockdir / "s", 1, kind):
        report = explained(sockdir / "s")
    assert report.served is False
    assert "messages wait, and " in report.verdict.text
    with serving(sockdir / "t", receive, kind), clients(sockdir / "t", 3, kind):
        until(lambda: explained(sockdir / "t").served is True)


def fill(path: Path) -> int:
    """Send until no further message fits; return how many did."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.connect(str(path))
        client.setblocking(False)
        for sent in range(100_000):
            try:
                client.send(b"x")
            except BlockingIOError:
                return sent
    raise AssertionError("the queue has no end")


def probed(path: Path) -> Report:
    question = Question(os.fsencode(path), None, of_process(os.getpid()))
    return explain(question, probing=True)


def test_a_probe_tells_whether_a_message_would_wait(sockdir: Path) -> None:
    path, kind = sockdir / "s", socket.SOCK_DGRAM
    most = int(LIMIT.read_text("ascii"))
    with serving(path, nothing, kind):
        with clients(path, 1, kind):
            report = probed(path)
        assert "a send waits" not in report.verdict.text
        assert "messages wait to be read; more fit" in str(report.checks)
        assert fill(path) == most  # one more than the setting says
        report = probed(path)
    assert report.verdict.number == 0
    assert "read none in 0.1 s; and a send waits, or fails with EAGAIN (11): " in (
        report.verdict.text
    )
    assert (
        f"net.unix.max_dgram_qlen messages ({most} at present) and one more" in report.verdict.text
    )
    assert "/wchan" in report.verdict.remedy.text


@pytest.mark.skipif(
    bool(os.statvfs(LIMIT).f_flag & os.ST_RDONLY), reason=f"{LIMIT} is read-only here"
)
def test_the_queue_of_another_namespace_has_its_own_limit(sockdir: Path) -> None:
    path = sockdir / "s"
    with ExitStack() as stack, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        stage = Stage(stack)

        def other_namespace() -> None:
            unshare(CLONE_NEWNET)
            LIMIT.write_text("3", encoding="ascii")

        pid = stage.process(other_namespace).pid
        assert liveness.look(listener(type=socket.SOCK_DGRAM), [], pid).most == 3
        server.bind(str(path))
        fill(path)
        report = probed(path)
    # The holder is the test itself, which runs: nothing is wrong but that it does not read.
    assert "a send waits, or fails with EAGAIN (11)" in report.verdict.text


def test_nothing_is_consumed_and_the_server_does_not_notice(sockdir: Path) -> None:
    path = sockdir / "s"
    with socket.socket(socket.AF_UNIX) as server, clients_of(server, path):
        explained(path)
        server.setblocking(False)
        server.accept()[0].close()
        with pytest.raises(BlockingIOError):
            server.accept()


@contextmanager
def clients_of(server: socket.socket, path: Path) -> Iterator[None]:
    server.bind(str(path))
    server.listen()
    with clients(path, 1):
        yield


@pytest.mark.parametrize("then", ["bound again", "deleted", "the same"])
def test_a_client_of_a_former_socket_is_told_of_it(sockdir: Path, then: str) -> None:
    path = sockdir / "s"

    def connect_and_wait(ready: int) -> None:
        with clients(path, 1):
            os.write(ready, b"x")
            signal.pause()

    with serving(path, keep):
        reading, writing = os.pipe()
        client = os.fork()
        if not client:
            try:
                connect_and_wait(writing)
            finally:
                os._exit(1)
        os.read(reading, 1)
        for each in (reading, writing):
            os.close(each)
        try:
            # The kernel lists the server's end only once it has been accepted.
            until(lambda: explained(path).served is True)
            if then != "the same":
                path.unlink()
            if then == "bound again":
                with serving(path, accept):
                    report = explained(path, client)
            else:
                report = explained(path, client)
        finally:
            os.kill(client, signal.SIGKILL)
            os.waitpid(client, 0)
    found = [each.detail for each in report.checks if each.name == "former"]
    assert len(found) == (then != "the same")
    if then == "bound again":
        assert report.verdict.text.startswith(f"connect works, but process {client} still has")
