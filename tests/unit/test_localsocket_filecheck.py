"""The state of a socket's file: the decision as a table, and the status of real files."""

import errno
import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from localechod.localsocket.address import Address
from localechod.localsocket.entry import DirectoryEntry
from localechod.localsocket.filecheck import File, FileState, difference, judge, loss, stat_path

WANTED = File((1, 2), 0o666, 10, 20)


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        (WANTED, FileState.OURS),
        (File((1, 2), 0o600, 10, 20), FileState.CHANGED),
        (File((1, 2), 0o1666, 10, 20), FileState.CHANGED),
        (File((1, 2), 0o666, 11, 20), FileState.CHANGED),
        (File((1, 2), 0o666, 10, 21), FileState.CHANGED),
        (File((1, 3), 0o666, 10, 20), FileState.ANOTHER),
        (File((2, 2), 0o666, 10, 20), FileState.ANOTHER),
        (errno.ENOENT, FileState.GONE),
        (errno.ENOTDIR, FileState.GONE),
        (errno.EACCES, FileState.HIDDEN),
        (errno.ELOOP, FileState.HIDDEN),
        (errno.EIO, FileState.HIDDEN),
    ],
)
def test_each_file_has_its_state(found: File | int, standing: FileState) -> None:
    assert judge(found, WANTED) is standing


def test_without_a_wanted_owner_any_is_accepted() -> None:
    wanted = File((1, 2), 0o666, -1, -1)
    assert judge(File((1, 2), 0o666, 11, 21), wanted) is FileState.OURS
    assert difference(File((1, 2), 0o644, 11, 21), wanted) == "mode 0644 instead of 0666"


def test_the_difference_has_the_found_and_the_wanted_value() -> None:
    found = File((1, 2), 0o600, 0, 0)
    wanted = File((1, 2), 0o666, 4242424, 4242424)
    assert difference(found, wanted) == (
        "mode 0600 instead of 0666 and owner root instead of 4242424 "
        "and group root instead of 4242424"
    )


def test_links_are_followed_as_clients_do(sockdir: Path) -> None:
    path = sockdir / "s"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    path.chmod(0o640)
    (sockdir / "link").symlink_to("s")
    (sockdir / "dangling").symlink_to("nothing")
    status = path.stat()
    expected = File((status.st_dev, status.st_ino), 0o640, os.geteuid(), os.getegid())
    for name in (path, sockdir / "link"):
        assert stat_path(Address.parse(str(name))) == expected
    assert stat_path(Address.parse(f"{sockdir}/dangling")) == errno.ENOENT
    assert stat_path(Address.parse(f"{path}/below")) == errno.ENOTDIR


def test_a_lost_file_was_removed_renamed_or_moved_with_its_directory(
    sockdir: Path,
) -> None:
    directory = sockdir / "d"
    directory.mkdir()
    path = directory / "s"
    path.touch()
    with (
        closing(DirectoryEntry.open(Address.parse(str(path)))) as place,
        closing(place.pin()) as file,
    ):
        directory.rename(sockdir / "e")
        assert loss(file) == "moved with its directory"
        (sockdir / "e" / "s").rename(sockdir / "t")
        assert loss(file) == "renamed"
        (sockdir / "t").unlink()
        assert loss(file) == "removed"
