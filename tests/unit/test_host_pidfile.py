"""One daemon at a time, and a pid file that only root can choose."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import localechod
from localechod.errors import LocalechodError
from localechod.host.pidfile import PidFile, open_root_owned
from tests.integration.harness import needs_root


def test_the_file_tells_our_pid_and_is_emptied_but_not_removed(sockdir: Path) -> None:
    path = sockdir / "d.pid"
    lock = PidFile.acquire(path)
    lock.write_pid()
    assert path.read_text() == f"{os.getpid()}\n"
    lock.empty()
    lock.close()
    assert path.read_bytes() == b""


def test_nobody_else_may_even_read_the_file_for_a_reader_could_hold_the_lock(sockdir: Path) -> None:
    lock = PidFile.acquire(sockdir / "d.pid")
    lock.close()
    assert (sockdir / "d.pid").stat().st_mode & 0o777 == 0o600


def test_a_second_daemon_is_refused_with_the_first_ones_pid(sockdir: Path) -> None:
    lock = PidFile.acquire(sockdir / "d.pid")
    lock.write_pid()
    with pytest.raises(LocalechodError) as caught:
        PidFile.acquire(sockdir / "d.pid")
    lock.close()
    assert caught.value.text == (
        f"localechod is already running with pid {os.getpid()}: {sockdir}/d.pid is locked"
    )
    assert caught.value.hint == "look at it with: localechoctl status"


def test_a_lock_without_a_pid_yet_is_refused_too(sockdir: Path) -> None:
    lock = PidFile.acquire(sockdir / "d.pid")
    with pytest.raises(LocalechodError, match=r"^localechod is already running as another process"):
        PidFile.acquire(sockdir / "d.pid")
    lock.close()


def test_a_crashed_daemons_pid_is_gone_as_soon_as_the_next_one_has_the_lock(sockdir: Path) -> None:
    (sockdir / "d.pid").write_text("4194304\n")
    lock = PidFile.acquire(sockdir / "d.pid")
    assert (sockdir / "d.pid").read_bytes() == b""
    lock.close()
    PidFile.acquire(sockdir / "d.pid").close()


def test_a_shorter_pid_leaves_nothing_of_a_longer_one(sockdir: Path) -> None:
    lock = PidFile.acquire(sockdir / "d.pid")
    (sockdir / "d.pid").write_text("123456789012345\n")
    lock.write_pid()
    assert (sockdir / "d.pid").read_text() == f"{os.getpid()}\n"
    lock.close()


def test_the_lock_survives_a_fork_and_the_end_of_the_parent(sockdir: Path) -> None:
    # As --detach does it: the parent takes the lock and ends, the child tells its own pid.
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from localechod.host.pidfile import PidFile\n"
        "lock = PidFile.acquire(Path(sys.argv[1]))\n"
        "lock.write_pid()\n"
        "if os.fork():\n    os._exit(0)\n"
        "lock.write_pid()\n"
        "print(os.getpid(), flush=True)\n"
        "sys.stdin.read()\n"  # until the test lets go
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(sockdir / "d.pid")],
        env={**os.environ, "PYTHONPATH": str(Path(localechod.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.wait(timeout=30) == 0
        pid = int(parent.stdout.readline())
        with pytest.raises(LocalechodError, match=f"already running with pid {pid}:"):
            PidFile.acquire(sockdir / "d.pid")
    assert pid != parent.pid


def _link(path: Path) -> None:
    (path.parent / "elsewhere").write_text("precious")
    path.symlink_to(path.parent / "elsewhere")


def _second_name(path: Path) -> None:
    (path.parent / "elsewhere").write_text("precious")
    path.hardlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_link, "open failed: Too many levels of symbolic links (40): {}; it is a symbolic link"),
        (_second_name, "cannot lock {}: it has 2 names (hard links); remove it"),
        (os.mkfifo, "cannot lock {}: it is not a regular file; remove it"),
        (Path.mkdir, "open failed: Is a directory (21): {}"),
    ],
)
def test_what_is_no_plain_file_is_neither_followed_nor_emptied(
    make: Callable[[Path], None], message: str, sockdir: Path
) -> None:
    make(sockdir / "d.pid")
    with pytest.raises(LocalechodError) as caught:
        PidFile.acquire(sockdir / "d.pid")
    assert str(caught.value).startswith(message.format(sockdir / "d.pid"))
    if (sockdir / "elsewhere").exists():
        assert (sockdir / "elsewhere").read_text() == "precious"


def test_a_directory_that_is_not_there_is_named(sockdir: Path) -> None:
    with pytest.raises(LocalechodError) as caught:
        PidFile.acquire(sockdir / "none" / "d.pid")
    assert str(caught.value) == f"open failed: No such file or directory (2): {sockdir}/none/d.pid"


@needs_root
def test_another_users_file_is_refused_unless_he_is_the_service_user(sockdir: Path) -> None:
    path = sockdir / "d.pid"
    path.touch()
    os.chown(path, 65534, 65534)
    with pytest.raises(LocalechodError, match="it belongs to uid 65534; remove it"):
        PidFile.acquire(path)
    PidFile.acquire(path, owner=65534).close()


@needs_root
def test_another_users_lock_says_whose_it_may_be(sockdir: Path) -> None:
    PidFile.acquire(sockdir / "d.pid").close()
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from localechod.errors import LocalechodError\n"
        "from localechod.host.pidfile import PidFile\n"
        "os.setuid(65534)\n"
        "try:\n    PidFile.acquire(Path(sys.argv[1]))\n"
        "except LocalechodError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(sockdir / "d.pid")],
        env={**os.environ, "PYTHONPATH": str(Path(localechod.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == (
        f"open failed: Permission denied (13): {sockdir}/d.pid; "
        "it belongs to another user's localechod: use another --runtime-dir or --pid-file\n"
    )


def test_a_full_disk_is_told_when_the_pid_is_written() -> None:
    lock = PidFile(Path("/dev/full"), os.open("/dev/null", os.O_RDONLY))
    with pytest.raises(LocalechodError, match=r"^write failed: .*: /dev/full"):
        lock.write_pid()
    lock.close()


def test_a_system_without_flock_is_told(sockdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(LocalechodError, match=r"^flock failed: No locks available \(37\): "):
        PidFile.acquire(sockdir / "d.pid")


@needs_root
@pytest.mark.parametrize("directory", ["/run", "/var/run", "/"])
def test_a_directory_that_is_roots_alone_may_hold_the_pid_file(directory: str) -> None:
    os.close(open_root_owned(Path(directory)))


@pytest.mark.parametrize("directory", ["/tmp", "/tmp/../run", "/dev/shm"])  # noqa: S108 - on purpose
def test_a_directory_for_everybody_may_not_even_a_sticky_one(directory: str) -> None:
    with pytest.raises(LocalechodError, match=r"not safe for a pid file.*mode 1777") as caught:
        open_root_owned(Path(directory))
    assert "chooses which process root kills later" in caught.value.hint


@pytest.mark.parametrize("step", ["below", "link", "hop"])
def test_every_step_on_the_way_counts_links_too(step: str, sockdir: Path) -> None:
    # sockdir is ours, but it lies in /tmp; /run, where the links lead, would be all right.
    (sockdir / "below").mkdir()
    (sockdir / "link").symlink_to("/run")
    (sockdir / "hop").symlink_to("link")
    with pytest.raises(LocalechodError, match=r"^/tmp is not safe for a pid file"):
        open_root_owned(sockdir / step)


@needs_root
def test_a_link_in_a_good_place_to_a_bad_one_is_followed_all_the_way(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The link lies in /proc and its target is root's alone; what lies between is not.
    monkeypatch.chdir(sockdir)
    with pytest.raises(LocalechodError, match=r"^/tmp is not safe for a pid file"):
        open_root_owned(Path("/proc/self/cwd"))


@needs_root
def test_a_missing_directory_is_named() -> None:
    with pytest.raises(LocalechodError, match=r"^open failed: .*\(2\): /run/localechod-none$"):
        open_root_owned(Path("/run/localechod-none"))
