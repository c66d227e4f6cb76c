"""Only regular files are opened, whatever a path leads to meanwhile."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from localechod.host.regular import read_regular
from localechod.localsocket.inotify import Inotify

_OPEN = 0x20  # IN_OPEN of inotify(7)


@pytest.fixture
def fifo(sockdir: Path) -> Iterator[tuple[Path, Inotify]]:
    """Return a FIFO, and what tells whether it was opened."""
    path = sockdir / "fifo"
    os.mkfifo(path)
    with closing(Inotify()) as opened:
        opened.add(str(path), _OPEN)
        yield path, opened


def test_the_first_bytes_of_a_regular_file(sockdir: Path) -> None:
    (sockdir / "x").write_bytes(b"12345")
    assert read_regular(sockdir / "x", 4) == b"1234"
    assert read_regular(sockdir / "x", 9) == b"12345"


def test_another_file_is_not_opened(fifo: tuple[Path, Inotify]) -> None:
    path, opened = fifo
    assert read_regular(path, 4) is None
    assert not [*opened.events()]
    link = path.with_name("link")
    link.symlink_to(path)
    assert read_regular(link, 4) is None
    assert not [*opened.events()]


def test_another_file_that_is_put_in_its_place_is_not_opened(
    fifo: tuple[Path, Inotify], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened = fifo
    file = path.with_name("file")
    file.write_bytes(b"12345")
    fstat = os.fstat

    def swap(descriptor: int) -> os.stat_result:
        found = fstat(descriptor)
        if file.exists():
            path.rename(file)
        return found

    monkeypatch.setattr(os, "fstat", swap)
    assert read_regular(file, 4) == b"1234"
    assert file.is_fifo()
    assert not [*opened.events()]
