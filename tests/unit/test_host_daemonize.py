"""To the background and back: what the shell hears, what the daemon keeps, what it loses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import localechod
from localechod.host.daemonize import Background, await_report, parse_report

PRELUDE = """
import os, sys
from pathlib import Path
from localechod.host.daemonize import Background, open_standard_streams
out = Path(sys.argv[1])
def tell(text):  # whole or not at all: the test waits for the name
    (out / "new").write_text(text)
    (out / "new").rename(out / "told")
"""
TELL_ALL = """
streams = [os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2)]
tell(repr(dict(pid=os.getpid(), session=os.getsid(0), group=os.getpgid(0), streams=streams,
    cwd=os.getcwd(), umask=os.umask(0), core=__import__("resource").getrlimit(4),
    fds=sorted(int(n) for n in os.listdir("/proc/self/fd")))))
"""


def run(
    body: str, sockdir: Path, *, pass_fds: tuple[int, ...] = (), **environ: str
) -> subprocess.CompletedProcess[str]:
    # The streams are files, not pipes: a detached daemon that kept one would not end the reading.
    with (sockdir / "out").open("w+") as out, (sockdir / "err").open("w+") as err:
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + body, str(sockdir)],
            env={
                **os.environ,
                "PYTHONPATH": str(Path(localechod.__file__).parents[1]),
                "PYTHONUNBUFFERED": "",  # what is waiting to be printed is one of the subjects
                **environ,
            },
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            pass_fds=pass_fds,
            text=True,
            timeout=30,
            check=False,
        )
    done.stdout, done.stderr = (sockdir / "out").read_text(), (sockdir / "err").read_text()
    return done


def told(sockdir: Path) -> dict[str, object]:
    found: dict[str, object] = eval((sockdir / "told").read_text())  # noqa: S307 - our own repr
    return found


def test_the_shells_command_ends_with_0_when_the_daemon_is_ready(sockdir: Path) -> None:
    body = "b = Background.start(detach=True)\n" + TELL_ALL + "b.ready()\nb.ready()\n"
    done = run("open(out / 'shell', 'w').write(f'{os.getpid()} {os.getsid(0)}')\n" + body, sockdir)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid, session = map(int, (sockdir / "shell").read_text().split())
    found = told(sockdir)
    assert found["pid"] != pid
    assert found["session"] not in {session, pid, found["pid"]}  # and can never get a terminal
    assert found["streams"] == ["/dev/null"] * 3
    assert (found["cwd"], found["umask"], found["core"]) == ("/", 0o022, (0, 0))


def test_what_was_printed_before_is_printed_once(sockdir: Path) -> None:
    body = "print('before')\nb = Background.start(detach=True)\nprint('after')\nb.ready()\n"
    assert run(body, sockdir).stdout == "before\n"


def test_the_shell_hears_why_the_daemon_failed_and_its_exit_status(sockdir: Path) -> None:
    body = (
        "b = Background.start(detach=True)\nb.failed('localechod: no\\n way', 78)\nsys.exit(78)\n"
    )
    done = run(body, sockdir)
    assert (done.returncode, done.stdout, done.stderr) == (78, "", "localechod: no\\n way\n")


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "raise RuntimeError", "sys.exit(0)"])
def test_a_daemon_that_died_without_a_word_is_noticed(end: str, sockdir: Path) -> None:
    done = run(f"Background.start(detach=True)\n{end}\n", sockdir)
    assert done.returncode == 1
    assert done.stderr == "localechod ended before it was ready, without giving a reason\n"


def test_a_daemon_goes_on_when_nobody_waits_for_it_any_more() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    Background(writer).ready()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer)


def test_only_what_is_ours_stays_open_in_the_background(sockdir: Path) -> None:
    keep, passed, lose = (os.open("/dev/zero", os.O_RDONLY) for _ in range(3))
    body = (
        "keep, passed, lose = map(int, os.environ['FDS'].split())\n"
        # systemd passes 3 and what follows, to the process that it names
        "os.dup2(keep, 60)\nos.dup2(lose, 61)\nos.dup2(passed, 3)\nos.dup2(passed, 4)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')\n"
        "from localechod.host.fdstore import inherit\n"
        "b = Background.start(detach=True, preserve=[60, *inherit()['']])\n"
        + TELL_ALL
        + "b.ready()\n"
    )
    try:
        names = f"{keep} {passed} {lose}"
        done = run(body, sockdir, pass_fds=(keep, passed, lose), FDS=names)
    finally:
        for descriptor in (keep, passed, lose):
            os.close(descriptor)
    assert (done.returncode, done.stderr) == (0, "")
    fds = told(sockdir)["fds"]
    assert isinstance(fds, list)
    assert {0, 1, 2, 3, 4, 60} <= set(fds)
    assert 61 not in fds
    assert len(fds) == 8, "the report's pipe and the listing's own descriptor are the other two"


def test_a_lock_goes_along_and_tells_the_daemons_pid(sockdir: Path) -> None:
    body = (
        "from localechod.errors import LocalechodError\n"
        "from localechod.host.pidfile import PidFile\n"
        "lock = PidFile.acquire(out / 'lock')\nlock.write_pid()\n"
        "b = Background.start(detach=True, preserve=[lock.fileno()])\n"
        "lock.write_pid()\n"
        "try:\n    PidFile.acquire(out / 'lock')\n"
        "except LocalechodError as error:\n    tell(f'{os.getpid()} {error.text}')\n"
        "b.ready()\n"
    )
    assert run(body, sockdir).returncode == 0
    pid, _, text = (sockdir / "told").read_text().partition(" ")
    assert text.startswith(f"localechod is already running with pid {pid}: ")


def test_the_foreground_keeps_pid_and_output_but_not_the_input(sockdir: Path) -> None:
    body = (
        "pid = os.getpid()\nb = Background.start(detach=False)\n" + TELL_ALL + "b.ready()\n"
        "assert os.getpid() == pid\nprint('served')\nb.failed('in the end', 1)\n"
    )
    done = run(body, sockdir)
    assert (done.returncode, done.stdout, done.stderr) == (0, "served\n", "in the end\n")
    found = told(sockdir)
    assert found["streams"] == ["/dev/null", f"{sockdir}/out", f"{sockdir}/err"]
    assert (found["cwd"], found["umask"], found["core"]) == ("/", 0o022, (0, 0))


def test_going_to_the_background_leaves_ids_and_groups_to_the_drop(sockdir: Path) -> None:
    body = (
        "before = os.getresuid(), os.getresgid(), os.getgroups()\n"
        "b = Background.start(detach=True)\n"
        "tell(str(before == (os.getresuid(), os.getresgid(), os.getgroups())))\nb.ready()\n"
    )
    run(body, sockdir)
    assert (sockdir / "told").read_text() == "True"


REFUSE_FORK = """
import errno
def refuse():
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
"""


def test_a_fork_that_is_refused_is_an_error_like_any_other(sockdir: Path) -> None:
    body = (
        REFUSE_FORK + "from localechod.errors import LocalechodError\n"
        "os.fork = refuse\n"
        "try:\n    Background.start(detach=True)\n"
        "except LocalechodError as error:\n    print(error)\n"
    )
    said = "fork failed: Resource temporarily unavailable (11)\n"
    assert run(body, sockdir).stdout == said


def test_a_later_fork_that_is_refused_reaches_the_shell_once(sockdir: Path) -> None:
    body = (
        REFUSE_FORK + "real = os.fork\n"
        "def second():\n    os.fork = refuse\n    return real()\n"
        "os.fork = second\nBackground.start(detach=True)\n"
    )
    done = run(body, sockdir)
    assert done.returncode == 1
    assert done.stderr.startswith("going to the background failed: Failed first fork")
    assert done.stderr.count("\n") == 1


def test_the_foreground_that_cannot_be_set_up_is_an_error_like_any_other(sockdir: Path) -> None:
    body = (
        REFUSE_FORK + "from localechod.errors import LocalechodError\n"
        "os.chdir = lambda _: refuse()\n"
        "try:\n    Background.start(detach=False)\n"
        "except LocalechodError as error:\n    print(error)\n"
    )
    assert run(body, sockdir).stdout.startswith("going to the background failed: Unable to change")


@pytest.mark.parametrize("detach", [False, True])
def test_a_daemon_started_without_standard_streams_gets_its_own(
    sockdir: Path, *, detach: bool
) -> None:
    body = (
        "for n in (0, 1, 2):\n    os.close(n)\n"
        "sys.stdin = sys.stdout = sys.stderr = None\n"  # as Python has them then
        "open_standard_streams()\nopen_standard_streams()\n"
        "lock = os.open('/dev/zero', 0)\n"
        f"b = Background.start(detach={detach}, preserve=[lock])\n" + TELL_ALL + "b.ready()\n"
    )
    assert run(body, sockdir).returncode == 0
    assert told(sockdir)["streams"] == ["/dev/null"] * 3


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"0\n", (0, "")),
        (b"78\nbad file", (78, "bad file")),
        (b"1\n\xff cut", (1, "\ufffd cut")),
        (b"", (1, "localechod ended before it was ready, without giving a reason")),
        (b"nonsense", (1, "localechod ended before it was ready, without giving a reason")),
        (b"x\ny", (1, "localechod ended before it was ready, without giving a reason")),
    ],
)
def test_the_word_from_the_daemon_decides(message: bytes, expected: tuple[int, str]) -> None:
    assert parse_report(message) == expected


def test_a_reason_is_printed_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"4\na\x1bb\nc")
    os.close(writer)
    assert await_report(reader) == 4
    assert capsys.readouterr().err == "a\\x1bb\\nc\n"
