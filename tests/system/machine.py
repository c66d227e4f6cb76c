"""A machine to break: this one's own system, booted again over a disposable copy of /.

The copy is an overlay whose upper layer lies on a tmpfs, mounted in a namespace of its own, and the
processes live in a namespace too. So there is little to clean up: when the boot's process is gone,
however it went, the machine, its mounts and all that was written in it go as well.
"""

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.integration.harness import NEEDS_ROOT

# What to boot instead of the default target, which may start a database or wait for the network.
_TARGET = """\
[Unit]
Description=The little that the tests need
Requires=basic.target
After=basic.target
Wants=dbus.service
"""
_BOOT = """
mount -t tmpfs -o mode=755,size=4g tmpfs "$1"
mkdir "$1/work" "$1/root"
cp -R "$2" "$1/upper"
mount -t overlay -o "lowerdir=$3,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
# A checkout on another file system is not part of the copy of /.
if [ "$3" = / ] && [ ! -e "$1/root$4/dev" ]; then
    mkdir -p "$1/root$4" "$1/checkout" "$1/work2"
    mount -t overlay -o "lowerdir=$4,upperdir=$1/checkout,workdir=$1/work2" overlay "$1/root$4"
fi
# systemd 258 and later do not boot on version 1 of control groups, which this machine may have.
[ "$3" = / ] || export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
root=$1/root
network=$5
shift 5
for group; do echo $$ >"$group/cgroup.procs"; done
export SYSTEMD_NSPAWN_TMPFS_TMP=0 # the checkout may lie under /tmp
exec systemd-nspawn --quiet --directory "$root" --register=no --keep-unit --settings=no $network \
    --link-journal=no --resolv-conf=off --timezone=off --console=pipe \
    --boot systemd.unit=tests.target
"""
# The files of accounts, and whether the names in their first column are users' or groups'.
_ACCOUNTS = dict.fromkeys(("passwd", "shadow", "subuid", "subgid"), "passwd")
_ACCOUNTS |= dict.fromkeys(("group", "gshadow"), "group")
_FIRST_ORDINARY, _NOBODY = 1000, 65534  # login.defs(5), and the overflow uid of proc_sys_fs(5)
T = TypeVar("T")

CHECKOUT = Path(__file__).resolve().parents[2]
_BOOT_SECONDS = 180.0
_RUN_SECONDS = 120.0
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Machine:
    """A booted system, as root sees it from outside."""

    def __init__(
        self, leader: int, upper: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Keep what is needed to reach the machine.

        Args:
            leader: the pid, here, of the machine's pid 1.
            upper: the layer that it writes to.
            environment: variables of commands run in it, beside PATH and LANG.
        """
        self._leader = leader
        self._upper = upper
        self.environment = environment or {}

    def run(
        self,
        *argv: str,
        user: str = "root",
        check: bool = True,
        stdin: str = "",
        seconds: float = _RUN_SECONDS,
    ) -> str:
        """Run a command in the machine and return its standard output, stripped.

        Raises:
            AssertionError: it failed, with all it said; unless check is false.
        """
        done = self.process(*argv, user=user, stdin=stdin, seconds=seconds)
        if check and done.returncode != 0:
            said = done.stdout + done.stderr
            raise AssertionError(f"{argv} ended with {done.returncode}:\n{said}")
        return done.stdout.strip()

    def process(
        self, *argv: str, user: str = "root", stdin: str = "", seconds: float = _RUN_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine, as a user, and return all there is to know of it."""
        become = [] if user == "root" else ["runuser", "-u", user, "--"]
        return subprocess.run(
            [*_enter(self._leader), *become, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env={**_ENVIRONMENT, **self.environment},
        )

    def follow(self, *argv: str) -> int:
        """Run a command in the machine, as root; it writes where we do. Return its exit status."""
        env = {**_ENVIRONMENT, **self.environment}
        return subprocess.run([*_enter(self._leader), *argv], check=False, env=env).returncode

    def feed(self, data: bytes, *argv: str) -> None:
        """Run a command in the machine, as root, on these bytes.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        command = [*_enter(self._leader), *argv]
        subprocess.run(command, input=data, check=True, timeout=_RUN_SECONDS, env=_ENVIRONMENT)

    def show(self, unit: str, key: str) -> str:
        """Return one property of a unit, as systemctl shows it."""
        return self.run("systemctl", "show", "--value", "--property", key, unit)

    def write(self, path: str, text: str) -> None:
        """Write a file in the machine, its directory included."""
        self.run("mkdir", "-p", str(Path(path).parent))
        self.run("tee", path, stdin=text)

    def written(self) -> set[str]:
        """Return the files and directories that the system it was booted from has otherwise."""
        found: set[str] = set()
        for directory, names, files in os.walk(self._upper):
            inside = Path("/") / Path(directory).relative_to(self._upper)
            # An overlay holds a directory also where only its entries changed, and marks a deleted
            # file with a character device.
            new = [name for name in names if not (inside / name).is_dir()]
            kept = [name for name in files if not (Path(directory) / name).is_char_device()]
            found.update(str(inside / name) for name in [*new, *kept])
        return found


def missing() -> str:
    """Return why no machine can be booted here, "" where one can be tried."""
    if os.geteuid() != 0:
        return NEEDS_ROOT
    tools = ("systemd-nspawn", "nsenter", "unshare", "setpriv")
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if absent:
        return f"no {', '.join(absent)} here"
    refused = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"mount is refused: {refused.stderr.strip()}" if refused.returncode else ""


def _copy_system_accounts(source: Path, target: Path) -> None:
    """Copy the files of users and groups without ordinary ones, whose names a test may want to use.

    Args:
        source: the /etc to copy from.
        target: the one to write to.
    """
    removed: dict[str, set[str]] = {}
    for kind in ("passwd", "group"):
        rows = [line.split(":") for line in (source / kind).read_text().splitlines()]
        ids = {row[0]: int(row[2]) for row in rows if row[2].isdigit()}
        removed[kind] = {name for name, id_ in ids.items() if _FIRST_ORDINARY <= id_ != _NOBODY}
    for name, kind in _ACCOUNTS.items():
        if not (source / name).exists():
            continue
        lines = []
        for line in (source / name).read_text().splitlines():
            account, *fields = line.split(":")
            if kind == "group":  # the last field is its members
                members = fields[-1].split(",")
                fields[-1] = ",".join(user for user in members if user not in removed["passwd"])
            if account not in removed[kind]:
                lines.append(":".join([account, *fields]))
        (target / name).write_text("".join(f"{line}\n" for line in lines))
        shutil.copymode(source / name, target / name)


@contextmanager
def booted(
    directory: Path, root: str = "/", environment: Mapping[str, str] | None = None
) -> Iterator[Machine]:
    """Boot a machine.

    Args:
        directory: an empty one of the caller's, where the boot's messages stay.
        root: the system it is a copy of; one other than this has this one's network.
        environment: variables of all commands run in it.

    Raises:
        AssertionError: it did not come up in time; the text has the console's last lines.
    """
    units = directory / "extra/etc/systemd/system"
    units.mkdir(parents=True)
    (units / "tests.target").write_text(_TARGET)
    etc = directory / "extra/etc"
    _copy_system_accounts(Path(root) / "etc", etc)
    (etc / "fstab").write_text("")  # the disks are this machine's, not that one's
    (etc / "tmpfiles.d").mkdir()
    (etc / "tmpfiles.d/tmp.conf").write_text("")  # else /tmp is emptied, maybe with the checkout
    mounts = directory / "mounts"
    mounts.mkdir()
    console = directory / "console"
    # If pytest is killed, the kernel kills unshare, then nspawn; and nspawn is the first of its pid
    # namespace, with which all others in it end. (nspawn alone leaves a booted machine running.)
    command = ["setpriv", "--pdeathsig", "KILL"]
    command += ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command += ["sh", "-euc", _BOOT, "sh", str(mounts), str(directory / "extra")]
    command += [root, str(CHECKOUT), "--private-network" if root == "/" else ""]
    with (
        _control_groups(directory.name) as groups,
        console.open("wb") as log,
        subprocess.Popen(
            [*command, *groups], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ) as boot,
    ):
        nspawn = 0
        try:
            nspawn = eventually(lambda: _child(boot, boot.pid), _BOOT_SECONDS, "systemd-nspawn")
            leader = eventually(lambda: _leader(boot, nspawn), _BOOT_SECONDS, "the end of the boot")
            yield Machine(leader, Path(f"/proc/{nspawn}/root{mounts}/upper"), environment)
        except TimeoutError as error:
            last = console.read_text(errors="replace")[-2000:]
            raise AssertionError(f"{error}; its console:\n{last}") from None
        finally:
            # unshare ends with nspawn, and buries it; without it, that would be left to pid 1.
            with suppress(ProcessLookupError):  # it did not come up
                os.kill(nspawn or boot.pid, signal.SIGKILL)


def eventually(attempt: Callable[[], T], seconds: float, what: str) -> T:
    """Return the first true value of attempt; look ten times a second.

    Raises:
        TimeoutError: there was none in so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (found := attempt()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} seconds for {what}")
        time.sleep(0.1)
    return found


@contextmanager
def _control_groups(name: str) -> Iterator[list[str]]:
    """Make a control group of the machine's own where systemd keeps its units, and remove it.

    Two machines in one group would take each other's services for their own, and stop them.
    """
    made = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":  # version 2, beside version 1 or alone
            hierarchy = "/sys/fs/cgroup/unified"
            hierarchy = hierarchy if Path(hierarchy).is_dir() else "/sys/fs/cgroup"
        elif controllers == "name=systemd":
            hierarchy = "/sys/fs/cgroup/systemd"
        else:
            continue
        if not Path(hierarchy).is_dir():  # in a container that has version 2 only
            continue
        # "/..": a process that nsenter has put into a container; its own groups begin at the root.
        group = Path(hierarchy, path.removeprefix("/").partition("..")[0], name)
        group.mkdir()
        made.append(group)
    try:
        yield [str(group) for group in made]
    finally:
        for group in made:
            for directory, _, _ in os.walk(group, topdown=False):
                # The kernel may still be busy burying the last process.
                eventually(partial(_removed, directory), _BOOT_SECONDS, f"{directory} to be empty")


def _removed(directory: str) -> bool:
    try:
        Path(directory).rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _child(boot: subprocess.Popen[bytes], pid: int) -> int:
    if boot.poll() is not None:
        raise TimeoutError(f"systemd-nspawn ended with {boot.returncode}")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


def _leader(boot: subprocess.Popen[bytes], nspawn: int) -> int:
    """Return the machine's pid 1 once it is up, else 0; nspawn's first child only prepares it."""
    pid = _child(boot, nspawn)
    return pid if pid and _is_up(pid) else 0


def _is_up(leader: int) -> bool:
    asked = subprocess.run(
        [*_enter(leader), "systemctl", "is-system-running"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() in {"running", "degraded"}


def _enter(leader: int) -> list[str]:
    namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
    return ["nsenter", "--target", str(leader), *namespaces, "--"]
