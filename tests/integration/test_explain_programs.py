"""`explain` and the programs that people run: FUSE file systems, tmux, containers."""

import errno
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from localechod.explain.client import of_process
from localechod.explain.facts import Question
from localechod.explain.report import Report, explain
from tests.integration.harness import needs_root
from tests.integration.stage import GAMES, NOBODY, STAFF, Stage, become

pytestmark = needs_root


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [each for each in programs if shutil.which(each) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


needs_fuse = pytest.mark.skipif(
    shutil.which("bindfs") is None or not os.access("/dev/fuse", os.W_OK),
    reason="bindfs is not installed, or there is no /dev/fuse",
)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def bindfs(stage: Stage, *options: str, user: int = 0) -> Path:
    """Mount the directory `below` at `seen` by FUSE; return the latter."""
    below, seen = (stage.folder(name, 0o755, user, user) for name in ("below", "seen"))
    command = ["bindfs", *options, str(below), str(seen)]
    subprocess.run(command, check=True, user=user, group=user, extra_groups=[])
    stage.stack.callback(subprocess.run, ["umount", "--lazy", str(seen)], check=True)
    return seen


@needs_fuse
@pytest.mark.parametrize(
    ("mode", "number", "status"), [(0o666, 0, 6), (0o600, errno.EACCES, 1)], ids=["open", "closed"]
)
def test_on_fuse_the_modes_refuse_and_the_server_may(
    stage: Stage, mode: int, number: int, status: int
) -> None:
    stage.listener(bindfs(stage) / "s", mode)
    asked = stage.ask("seen/s")
    report = asked.explain()
    assert asked.kernel() == number
    assert (report.verdict.number, report.exit_status) == (number or None, status)
    if not number:
        assert report.verdict.text == (
            f"connect should work, unless the server of {stage.directory}/seen (fuse) forbids it"
        )
        question = Question(asked.name, asked.type, of_process(asked.client.pid), asked.client.pid)
        assert explain(question, probing=True).verdict.number == 0


@needs_fuse
@pytest.mark.parametrize(
    ("user", "number"), [(GAMES, 0), (NOBODY, errno.EACCES), (0, errno.EACCES)]
)
def test_a_users_own_fuse_file_system_is_closed_to_all_others_and_to_root(
    stage: Stage, user: int, number: int
) -> None:
    seen = bindfs(stage, "--no-allow-other", user=GAMES)

    def serve() -> None:
        become(GAMES)
        stage.listener(seen / "s", uid=GAMES, gid=GAMES)

    stage.process(serve)
    asked = stage.ask("seen/s", uid=user)
    report = asked.explain()
    assert asked.kernel() == number
    if number:
        assert report.verdict.number == number
        assert "only games may use this fuse file system" in report.verdict.text
        assert "allow_other" in report.verdict.remedy.text
    else:  # we are root, which may not even look
        assert (report.verdict.number, report.exit_status) == (None, 5)


@needs_fuse
def test_a_socket_bound_below_fuse_refuses_and_is_never_to_be_removed(stage: Stage) -> None:
    seen = bindfs(stage)
    stage.listener("below/s")
    asked = stage.ask(seen / "s")
    report = asked.explain()
    assert asked.kernel() == errno.ECONNREFUSED
    assert (report.verdict.number, report.exit_status) == (None, 1)
    assert "a socket is bound and connected through the same mount" in report.verdict.text
    assert "Connection refused (111), unless the server of " in report.verdict.text
    assert "remove" not in str(report.verdict)


@needs("tmux")
def test_the_terminals_of_tmux_have_its_groups_and_it_is_named(stage: Stage) -> None:
    login_group = 60  # of the account games, on Debian
    stage.listener(mode=0o660, gid=login_group)
    home = stage.folder("home", 0o700, GAMES, GAMES)
    variables = {
        "TMUX_TMPDIR": str(home),
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "SHELL": "/bin/sh",
    }

    def tmux(*words: str, groups: tuple[int, ...] = ()) -> str:
        command = ["tmux", "-f", os.devnull, *words]
        done = subprocess.run(
            command, env=variables, user=GAMES, group=GAMES, extra_groups=groups,
            check=True, capture_output=True, text=True, cwd="/",
        )  # fmt: skip
        return done.stdout.strip()

    tmux("new-session", "-d", "cat")
    stage.stack.callback(tmux, "kill-server")
    # A later login has the group, but a new window does not get it.
    tmux("new-window", "cat", groups=(login_group,))
    pane, server = tmux("display-message", "-p", "#{pane_pid} #{pid}").split()
    name = os.fsencode(stage.directory / "s")
    report = explain(Question(name, None, of_process(int(pane)), int(pane)))
    assert report.verdict.number == errno.EACCES
    assert f"log in again, and restart tmux: server ({server}) from there" in (
        report.verdict.remedy.text
    )


INSIDE = (
    "import json, os, socket, sys\n"
    "print('ready', flush=True)\n"
    "sys.stdin.readline()\n"
    "print(json.dumps(socket.socket(socket.AF_UNIX).connect_ex(sys.argv[1])), flush=True)\n"
)
Reports = tuple[Report, Report, int]


def observed(stage: Stage, command: list[str], name: str) -> Reports:
    """Explain a client in a container, without and with its filters; then let it connect."""
    client = subprocess.Popen(
        [*command, "python3", "-c", INSIDE, name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    stage.stack.callback(client.wait)
    stage.stack.callback(client.kill)
    assert client.stdout is not None
    assert client.stdout.readline() == "ready\n"
    pid = interpreter("-c", INSIDE, name)
    raw = os.fsencode(name)
    first, second = (
        explain(Question(raw, None, of_process(pid), pid, filters)) for filters in (False, True)
    )
    answer, _ = client.communicate("\n", timeout=60)
    return first, second, int(json.loads(answer))


def interpreter(*arguments: str) -> int:
    """Return the process of Python with these arguments; a container's need not be below ours."""
    wanted = b"".join(b"\0" + os.fsencode(each) for each in arguments)
    for each in Path("/proc").glob("[0-9]*"):
        try:
            command = (each / "cmdline").read_bytes().removesuffix(b"\0")
            if command.endswith(wanted) and (each / "comm").read_bytes().startswith(b"python"):
                return int(each.name)
        except OSError:  # it has ended
            continue
    raise AssertionError(f"no process has the arguments {arguments}")


BWRAP = shlex.split("bwrap --ro-bind / / --tmpfs /tmp --dev /dev --unshare-pid")


@needs("bwrap")
@pytest.mark.parametrize("shared", [True, False])
def test_a_sandbox_of_bubblewrap_sees_the_socket_only_if_its_directory_is_bound(
    stage: Stage, *, shared: bool
) -> None:
    directory = str(stage.directory)
    stage.listener()
    binds = ["--ro-bind", directory, directory] if shared else []
    command = [*BWRAP, *binds]
    _, report, number = observed(stage, command, f"{directory}/s")
    assert number == (0 if shared else errno.ENOENT)
    assert report.verdict.number in {number, None}
    if not shared:
        assert f"({os.getpid()}" in str(report.checks)  # the listener that cannot be seen


# A container without an image: the system's own /usr, and nothing else.
ROOT = ("etc", "proc", "sys", "dev", "run", "tmp", "usr")
# Where crun cannot use the cgroups of this machine, it gets others to see. It makes none.
PODMAN = """
umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
exec podman --root {stage}/storage --runroot {stage}/runroot run --rm --interactive --net=none \
    --cgroups=disabled --ulimit nofile=1000:1000 --ulimit nproc=1000:1000 --log-driver=none \
    --volume /usr:/usr:ro --volume {stage}/sockets:/sockets "$@"
"""


@pytest.fixture
def podman(stage: Stage) -> Callable[..., list[str]]:
    """Give a function that returns the command for a container with some options."""
    root = stage.folder("root")
    stage.folder("sockets")
    for each in ROOT:
        (root / each).mkdir()
    for each in ("bin", "sbin", "lib", "lib64"):
        if Path("/", each).is_symlink():
            (root / each).symlink_to(f"usr/{each}")

    def command(*options: str) -> list[str]:
        script = PODMAN.format(stage=stage.directory)
        return ["unshare", "--mount", "sh", "-c", script, "sh", *options, "--rootfs", str(root)]

    if subprocess.run([*command(), "true"], capture_output=True, check=False).returncode:
        pytest.skip("podman cannot run a container here")
    return command


@needs("podman", "crun")
def test_a_container_of_podman_needs_the_number_of_the_group(
    stage: Stage, podman: Callable[..., list[str]]
) -> None:
    stage.listener("sockets/s", mode=0o660, gid=STAFF)
    user = ("--user", "20009:20009")
    _, report, number = observed(stage, podman(*user), "/sockets/s")
    assert number == errno.EACCES == report.verdict.number
    assert "uid 20009 may not write to it" in report.verdict.text
    option = f"--group-add {STAFF}"
    assert option in report.verdict.remedy.text
    unread, read, number = observed(stage, podman(*user, *option.split()), "/sockets/s")
    assert number == 0
    assert (unread.verdict.number, unread.exit_status) == (None, 6)
    assert "connect should work, unless the seccomp filter of process" in unread.verdict.text
    assert read.verdict.number == 0
