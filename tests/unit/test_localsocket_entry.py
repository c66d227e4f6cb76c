"""Directory entries: a pinned file stays the same, whatever happens to its name."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import localechod
from localechod.localsocket import entry
from localechod.localsocket.address import Address
from localechod.localsocket.entry import DirectoryEntry, PinnedEntry
from tests.integration.harness import needs_root

SOURCE = str(Path(localechod.__file__).parents[1])


def pin(path: Path) -> PinnedEntry:
    return DirectoryEntry.open(Address.parse(str(path))).pin()


def test_a_name_in_the_root_directory_can_be_opened() -> None:
    with closing(DirectoryEntry.open(Address(b"/proc"))) as root, closing(root.pin()) as pinned:
        assert pinned.status.st_ino == Path("/proc").stat().st_ino


def test_a_link_is_pinned_itself(sockdir: Path) -> None:
    (sockdir / "link").symlink_to("nowhere")
    with closing(pin(sockdir / "link")) as pinned:
        assert pinned.status.st_ino == (sockdir / "link").lstat().st_ino


def test_only_the_pinned_file_is_removed(sockdir: Path) -> None:
    file = sockdir / "file"
    file.touch()
    with closing(pin(file)) as pinned:
        assert pinned.is_current()
        file.rename(sockdir / "moved")
        assert not pinned.is_current()
        assert not pinned.unlink()
        file.touch()
        assert not pinned.unlink()
        assert file.exists()
        file.unlink()
        file.symlink_to("moved")
        assert not pinned.unlink()
        assert file.is_symlink()
        (sockdir / "moved").rename(file)
        assert pinned.unlink()
        assert not file.exists()


def test_a_pinned_file_is_removed_after_its_directory_was_moved(sockdir: Path) -> None:
    before, after = sockdir / "before", sockdir / "after"
    before.mkdir()
    (before / "file").touch()
    with closing(pin(before / "file")) as pinned:
        before.rename(after)
        before.mkdir()
        (before / "file").touch()
        assert pinned.unlink()
    assert (before / "file").exists()
    assert not (after / "file").exists()


def test_the_device_of_the_file_system_comes_from_its_mount(sockdir: Path) -> None:
    with closing(pin(sockdir)) as pinned:
        assert entry._file_system(pinned.descriptor) is not None
        assert pinned.diag_identity[1] == sockdir.stat().st_ino


def test_without_proc_the_device_of_stat_is_used(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(pin(sockdir)) as pinned:
        monkeypatch.setattr(entry, "_file_system", lambda _: None)
        assert pinned.diag_identity == pinned.identity


def test_a_carriage_return_in_a_mount_point_does_not_end_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = b"9 1 0:7 / /a\r\rb rw - tmpfs tmpfs rw\n10 1 254:3 / / rw - ext4 /dev/vda rw\n"
    files = {"7": b"pos:\t0\nmnt_id:\t10\n", "mountinfo": fake}
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", lambda path: files[path.name])
        assert entry._file_system(7) == os.makedev(254, 3)


def test_a_descriptor_whose_mount_is_gone_has_no_file_system() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert entry._file_system(one.fileno()) is None
    assert entry._file_system(99_999) is None


OVERLAY = """
import errno, os, socket, subprocess, sys
from localechod.errors import SocketError
from localechod.localsocket import diag
from localechod.localsocket.address import Address
from localechod.localsocket.bind import bind
from localechod.localsocket.bound import Request
from localechod.localsocket.entry import DirectoryEntry
root = sys.argv[1]
for command in (
    f"mount -t tmpfs tmpfs {root}",
    f"mkdir {root}/upper {root}/work {root}/lower {root}/m",
    f"mount -t tmpfs tmpfs {root}/lower",
    f"mount -t overlay overlay -o lowerdir={root}/lower,upperdir={root}/upper,"
    f"workdir={root}/work,xino=off {root}/m",
):
    if subprocess.run(command.split()).returncode:
        sys.exit(77)
address = Address.parse(f"{root}/m/s")
request = Request(address, socket.SOCK_STREAM, 0o666, -1, -1, 5)
bound = bind(request)
pinned = DirectoryEntry.open(address).pin()
assert pinned.identity == bound.identity
assert pinned.identity != pinned.diag_identity, "this overlay shows nothing"
assert diag.bound_to(*pinned.diag_identity), "not found by the file system's own device"
try:
    bind(request)
    raise AssertionError("a live socket was taken over")
except SocketError as error:
    assert error.errno == errno.EADDRINUSE
bound.sock.close()
assert bind(request).remove(), "a stale socket was not replaced"
"""


@needs_root
def test_on_an_overlay_the_socket_is_found_although_stat_has_another_device(sockdir: Path) -> None:
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", OVERLAY, str(sockdir)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(f"no overlay to be had here: {done.stderr}")
    assert done.returncode == 0, done.stderr
