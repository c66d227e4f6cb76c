"""A bare Debian: no Python, no compiler, nothing but systemd and what apt needs.

Made once for each suite by debootstrap, from the mirror that this machine uses, and booted as a
disposable copy. It has this machine's network, and this machine's ways to its package mirrors:
proxies, certificates, settings of apt and pip.
"""

import fcntl
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.system import machine
from tests.system.machine import CHECKOUT, Machine, booted

# Where the project lies in the machine: what git tracks, and nothing that was built from it.
PROJECT = "/root/localechod"

SUITES = {"bookworm": "3.11", "trixie": "3.13", "forky": "3.14"}
"""Debian's releases on which the project is tried, and the Python of each."""

_BASES = Path("/var/tmp")  # noqa: S108 - those in it are made and entered by root alone
_INCLUDED = "systemd,systemd-sysv,dbus,ca-certificates,iproute2,procps"

# How this machine reaches its mirrors, where that is a matter of files ...
_WAYS = (
    *("etc/apt/sources.list", "etc/apt/sources.list.d", "etc/apt/apt.conf.d", "etc/apt/keyrings"),
    *("etc/ssl/certs", "usr/local/share/ca-certificates", "etc/pip.conf", "root/.config/pip"),
    *("etc/resolv.conf", "etc/hosts"),
)
# ... and of the environment.
_VARIABLES = ("PIP_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def missing() -> str:
    """Return why there can be no bare Debian here, "" where it can be tried."""
    if shutil.which("debootstrap") is None:
        return "no debootstrap here"
    return machine.missing()


@contextmanager
def bare(suite: str) -> Iterator[Machine]:
    """Boot a bare Debian of this suite with the project in it.

    Raises:
        AssertionError: it could not be made, or did not come up.
    """
    directory = Path(tempfile.mkdtemp(prefix=f"localechod-{suite}-"))
    names = {name for name in os.environ if name.upper().startswith(_VARIABLES)}
    environment = {"HOME": "/root", **{name: os.environ[name] for name in sorted(names)}}
    with booted(directory, str(_base(suite)), environment) as debian:
        copy_project(debian)
        yield debian
    shutil.rmtree(directory)


def copy_project(debian: Machine) -> None:
    """Put what git tracks of this checkout into the machine."""
    tracked = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, check=True, capture_output=True)
    packed = ["tar", "--create", "--files-from=-"]
    archive = subprocess.run(
        packed, cwd=CHECKOUT, check=True, input=tracked.stdout, capture_output=True
    )
    _unpack(debian, archive.stdout, PROJECT)


def copy_commit(debian: Machine, commit: str, directory: str) -> None:
    """Put the files of a commit of this checkout's into a directory of the machine.

    Raises:
        AssertionError: there is no such commit here.
    """
    packed = subprocess.run(
        ["git", "archive", commit], cwd=CHECKOUT, check=False, capture_output=True
    )
    assert packed.returncode == 0, packed.stderr.decode()
    _unpack(debian, packed.stdout, directory)


def _unpack(debian: Machine, archive: bytes, directory: str) -> None:
    debian.run("mkdir", "-p", directory)
    debian.feed(archive, "tar", "--extract", "--directory", directory)


def _base(suite: str) -> Path:
    """Return the directory of the bare system; the first caller makes it."""
    base = _BASES / f"localechod-{suite}"
    with base.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "etc/made").exists():
            _make(suite, base)
    return base


def _make(suite: str, base: Path) -> None:
    unfinished = base.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(base, ignore_errors=True)
    # What it mounts goes with it, also where it is interrupted.
    command = ["unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={_INCLUDED}"]
    command.append(suite)
    made = subprocess.run(
        [*command, str(unfinished), *_mirror()], check=False, capture_output=True, text=True
    )
    assert made.returncode == 0, f"debootstrap failed:\n{made.stdout[-2000:]}{made.stderr[-500:]}"
    # Of the distribution, debootstrap knows one part: the real sources are this machine's, for
    # another suite.
    (unfinished / "etc/apt/sources.list").write_text("")
    for way in _WAYS:
        source, target = Path("/", way), unfinished / way
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            own = set(target.iterdir())
            subprocess.run(["cp", "--archive", f"{source}/.", target], check=True)
            # A package that is installed later would find its own file there, and ask.
            for file in {target / path.name for path in _packaged(source)} - own:
                file.unlink(missing_ok=True)
        elif source.exists():
            target.unlink(missing_ok=True)
            shutil.copyfile(source, target)
    _change_suite(unfinished / "etc/apt", suite)
    (unfinished / "etc/made").touch()
    unfinished.rename(base)


def _packaged(directory: Path) -> list[Path]:
    """Return the files in a directory of this machine that came with packages."""
    found = subprocess.run(
        ["dpkg-query", "--search", f"{directory}/*"], check=False, capture_output=True, text=True
    )
    paths = [Path(line.rpartition(": ")[2]) for line in found.stdout.splitlines()]
    return [path for path in paths if path.is_file()]


def _change_suite(settings: Path, suite: str) -> None:
    """Have apt's sources name a suite of Debian instead of ours; others' own suites stay."""
    ours = platform.freedesktop_os_release()["VERSION_CODENAME"]
    for sources in (settings / "sources.list", *settings.glob("sources.list.d/*")):
        text = sources.read_text()
        sources.write_text(re.sub(rf"(?<![\w-]){ours}\b", suite, text))


def _mirror() -> list[str]:
    """Return the first mirror that this machine's apt asks, if it says so in the newer format."""
    for sources in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        with suppress(StopIteration):
            lines = iter(sources.read_text().splitlines())
            return [next(line.split()[1] for line in lines if line.startswith("URIs:"))]
    return []
