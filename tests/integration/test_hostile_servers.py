"""Every command against servers that mistreat their clients: each ends soon, in bounded memory."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from localechod.control import client, connect, events
from localechod.ctl.__main__ import main
from tests.everything import import_everything
from tests.integration.harness import CHECKOUT, resident, until
from tests.integration.hostile import BEHAVIOURS

SECONDS = 0.2  # the deadlines of control calls, in place of 5 and 60
LONGEST = 15.0  # seconds of any command; without a deadline it would never end
MOST = 96 << 20  # bytes of memory beyond those of the loaded program
MOST_OUTPUT = 1 << 18

# One command for each method and each way to read its reply, against everything.
CALLS = (
    *("status", "peers", "config show", "events", "reload", "start x"),
    *("wait --timeout 0.5", "events --follow"),
)
# The others, which use the same methods.
MORE = ("status --json x", "peers --json", "metrics", "version", "stop x", "restart x y")
MAIN = ("silent", "drip", "begun", "closes", "http", "garbage", "endless-message", "rows")

# Replies that are valid for some methods: no event, or unknown fields.
VALID = {("events", "no-message"), ("start x", "no-number")}
# A stream that has begun may be silent, or endless; after its end there is another attempt.
FOLLOWED = {
    *("begun", "drip-reply", "closes-begun", "closes-in-frame", "garbage-begun", "no-message"),
    *("ends-without-trailers", "empty-data", "endless-events", "rows"),
}

ECHO = (
    "send --timeout 0.5 PATH g1",
    "send --timeout 0.5 --framing line PATH g1",
    "send --timeout 0.5 --framing record PATH g1",
    "send --timeout 0.5 --framing chunk --hex PATH 6731",
    "bench --timeout 0.5 --seconds 0.1 --repeats 1 PATH",
    "bench --timeout 0.5 --seconds 0.1 --repeats 1 --size 1048576 PATH",
)
NO_ECHO = (
    *("silent", "never-reads", "drip", "closes", "http", "greets", "garbage", "descriptors"),
    *("endless-bytes", "endless-lines", "huge-frame", "echoes-then-drips"),
)


class Ended(NamedTuple):
    """How a command ended: its exit status, its output, and the memory that it took, in bytes."""

    status: int | None
    out: bytes
    err: str
    memory: int


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a directory with a socket for each behaviour."""
    import_everything()
    directory = tmp_path_factory.mktemp("s")
    command = [sys.executable, "-m", "tests.integration.hostile", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=CHECKOUT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield directory
        finally:
            process.kill()


def localechoctl(
    words: Sequence[str], directory: Path, seconds: float = LONGEST, deadline: float = SECONDS
) -> Ended:
    """Run a command in a forked process, which has all modules already.

    The status is None where it did not end within so many seconds, and was killed.

    Args:
        words: its arguments.
        directory: where its output is kept.
        seconds: how long it may run.
        deadline: seconds of a control call.
    """
    out, err = directory / "out", directory / "err"
    before = resident(os.getpid())
    pid = os.fork()
    if not pid:
        _run(words, out, err, deadline)
    ended = os.pidfd_open(pid)
    in_time = bool(select.select([ended], [], [], seconds)[0])
    os.close(ended)
    if not in_time:
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return Ended(
        os.waitstatus_to_exitcode(status) if in_time else None,
        out.read_bytes(),
        err.read_text("utf-8"),
        usage.ru_maxrss * 1024 - before,
    )


def _run(words: Sequence[str], out: Path, err: Path, deadline: float) -> NoReturn:
    status = 99
    try:
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8") for number in (1, 2))
        patch = pytest.MonkeyPatch()
        for module in (client, connect, events):
            patch.setattr(module, "LOOK_SECONDS", deadline)
        patch.setattr(client, "CHANGE_SECONDS", deadline)
        sys.argv = ["localechoctl", *words]
        main()
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    except BaseException as error:  # noqa: BLE001 - a forked process must not return to its caller
        sys.stderr.write(f"Traceback: {error!r}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def check(ended: Ended, *, lines: int = 1) -> None:
    """Fail unless a command has ended with an error of one line."""
    assert ended.status in {1, 2, 3}, ended
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") == lines, ended.err
    assert ended.err.replace("\n", "").isprintable()
    assert len(ended.err) < 4096
    assert len(ended.out) < MOST_OUTPUT
    assert ended.memory < MOST


@pytest.mark.parametrize(
    ("name", "behaviour"),
    [
        *((name, behaviour) for name in CALLS for behaviour in BEHAVIOURS),
        *((name, behaviour) for name in MORE for behaviour in MAIN),
    ],
)
def test_a_control_server_keeps_no_command_and_fills_no_memory(
    name: str, behaviour: str, servers: Path, sockdir: Path
) -> None:
    words = ("--control", str(servers / behaviour), *name.split())
    if name == "events --follow" and behaviour in FOLLOWED:
        ended = localechoctl(words, sockdir, 1.0)
        assert "Traceback" not in ended.err
        assert ended.memory < MOST
    elif (name, behaviour) in VALID:
        assert localechoctl(words, sockdir).status == 0
    else:
        check(localechoctl(words, sockdir))


@pytest.mark.parametrize("name", ["status", "peers", "events", "events --follow"])
def test_a_reply_without_end_is_refused_by_its_length_long_before_the_deadline(
    name: str, servers: Path, sockdir: Path
) -> None:
    words = ("--control", str(servers / "endless-message"), *name.split())
    ended = localechoctl(words, sockdir, deadline=10 * LONGEST)
    check(ended)
    assert "control call failed: Message too long (90): " in ended.err
    assert ended.memory < 32 << 20


@pytest.mark.parametrize("behaviour", NO_ECHO)
@pytest.mark.parametrize("name", ECHO)
def test_an_echo_server_keeps_no_command_and_fills_no_memory(
    name: str, behaviour: str, servers: Path, sockdir: Path
) -> None:
    words = [word.replace("PATH", str(servers / behaviour)) for word in name.split()]
    ended = localechoctl(words, sockdir)
    if name.startswith("send") and ended.status == 0:
        # Whatever ends like a message is a reply.
        assert 0 < len(ended.out) < MOST_OUTPUT
        assert not ended.err
        assert ended.memory < MOST
    else:
        check(ended)


def test_a_wait_keeps_to_its_timeout_while_the_backlog_is_full(sockdir: Path) -> None:
    path = str(sockdir / "s")
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as waiting:
        full.bind(path)
        full.listen(0)
        waiting.connect(path)
        program = [sys.executable, "-m", "localechod.ctl", "--control", path]
        with subprocess.Popen([*program, "wait", "--timeout", "600"], cwd=CHECKOUT) as long:
            try:
                done = subprocess.run(
                    [*program, "wait", "--timeout", "0.01"], check=False, timeout=4, cwd=CHECKOUT
                )
            finally:
                long.kill()
    assert done.returncode == 1


def waits_with_a_socket(pid: int) -> bool:
    """Tell whether a process sleeps and has a socket open (proc_pid_stat(5), proc_pid_fd(5))."""
    process = Path(f"/proc/{pid}")
    state = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    return state == "S" and any(
        str(each.readlink()).startswith("socket:") for each in (process / "fd").iterdir()
    )


@pytest.mark.parametrize(
    "words",
    ["status", "reload", "events", "events --follow", "wait", "send PATH x", "bench PATH"],
)
@pytest.mark.parametrize("backlog", ["full", "not accepted"])
def test_ctrl_c_ends_a_command_at_once(words: str, backlog: str, sockdir: Path) -> None:
    path = str(sockdir / "s")
    program = [sys.executable, "-m", "localechod.ctl", "--control", path]
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(path)
        listening.listen(0 if backlog == "full" else 8)
        if backlog == "full":
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
        running = stack.enter_context(
            subprocess.Popen(
                [*program, *words.replace("PATH", path).split()],
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        until(lambda: waits_with_a_socket(running.pid))
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=3)  # less than any deadline
    assert (running.returncode, out, err) == (130, b"", b"")
