"""Pinned sender sockets: found again cheaply, and never anybody else's."""

import asyncio
import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from localechod.echo.datagram import pinned_senders as module
from localechod.echo.datagram.pinned_senders import PinnedSenders
from localechod.echo.datagram.proof_budget import ProofBudget
from tests.integration.harness import needs_root

ME = os.geteuid()
MANY = 1 << 20


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def pins(loop: asyncio.AbstractEventLoop) -> Iterator[PinnedSenders]:
    pins = PinnedSenders(loop, MANY, ProofBudget())
    yield pins
    pins.close()


@contextmanager
def bound(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        yield sock


def inode(handle: str) -> int:
    return Path(handle).stat().st_ino


def test_a_pin_is_kept_and_leads_to_the_file(pins: PinnedSenders, sockdir: Path) -> None:
    path = sockdir / "me"
    with bound(path):
        first = pins.handle(str(path), ME, 0.0)
        assert inode(first) == path.stat().st_ino
        assert pins.handle(str(path), ME, 10.0) == first


def test_a_socket_that_takes_over_the_path_is_found_while_the_first_is_open(
    pins: PinnedSenders, sockdir: Path
) -> None:
    path = sockdir / "me"
    with bound(path), ExitStack() as stack:
        pins.handle(str(path), ME, 0.0)
        path.rename(sockdir / "old")
        stack.enter_context(bound(path))
        assert inode(pins.handle(str(path), ME, 0.002)) == path.stat().st_ino


def test_a_name_that_has_become_a_link_leads_to_the_link(
    pins: PinnedSenders, sockdir: Path
) -> None:
    path = sockdir / "me"
    with bound(path), bound(sockdir / "other"):
        pins.handle(str(path), ME, 0.0)
        path.unlink()
        path.symlink_to(sockdir / "other")
        assert Path(pins.handle(str(path), ME, 1.0)).readlink() == path


def test_a_name_that_has_gone_is_no_pin_any_more(pins: PinnedSenders, sockdir: Path) -> None:
    path = sockdir / "me"
    with bound(path):
        pins.handle(str(path), ME, 0.0)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        pins.handle(str(path), ME, 1.0)


def test_somebody_elses_file_is_refused_pinned_or_not(pins: PinnedSenders, sockdir: Path) -> None:
    path = sockdir / "me"
    with bound(path):
        for _ in range(2):
            with pytest.raises(PermissionError) as caught:
                pins.handle(str(path), ME + 1, 0.0)
            assert caught.value.errno == errno.EACCES
        pins.handle(str(path), ME, 0.0)


@needs_root
def test_a_file_that_was_given_away_is_its_new_owners(pins: PinnedSenders, sockdir: Path) -> None:
    path = sockdir / "me"
    with bound(path):
        pins.handle(str(path), ME, 0.0)
        os.chown(path, 5, 5)
        with pytest.raises(PermissionError):
            pins.handle(str(path), ME, 1.0)
        pins.handle(str(path), 5, 1.0)


def open_pins(directory: Path) -> int:
    return sum(
        1
        for each in Path("/proc/self/fd").iterdir()
        if os.path.realpath(each).startswith(str(directory))
    )


def test_they_are_bounded_and_closed(
    pins: PinnedSenders, sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    with ExitStack() as stack:
        for number in range(6):
            stack.enter_context(bound(sockdir / str(number)))
            pins.handle(str(sockdir / str(number)), ME, 0.0)
        assert open_pins(sockdir) == 3
        pins.close()
        assert open_pins(sockdir) == 0


def test_the_last_descriptors_are_left_to_others(
    loop: asyncio.AbstractEventLoop, sockdir: Path
) -> None:
    pins = PinnedSenders(loop, 0, ProofBudget())
    with bound(sockdir / "1"), bound(sockdir / "2"):
        pins.handle(str(sockdir / "1"), ME, 0.0)
        pins.handle(str(sockdir / "2"), ME, 0.0)
        assert open_pins(sockdir) == 1
    pins.close()


def test_without_descriptors_the_kept_ones_are_given_up(
    pins: PinnedSenders, sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open = os.open

    def open_(path: str, flags: int) -> int:
        if open_pins(sockdir):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return really_open(path, flags)

    with bound(sockdir / "1"), bound(sockdir / "2"):
        pins.handle(str(sockdir / "1"), ME, 0.0)
        monkeypatch.setattr(os, "open", open_)
        assert inode(pins.handle(str(sockdir / "2"), ME, 0.0)) == (sockdir / "2").stat().st_ino


def test_unused_files_are_unpinned(
    pins: PinnedSenders,
    loop: asyncio.AbstractEventLoop,
    sockdir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_IDLE", 0.01)
    with bound(sockdir / "1"):
        pins.handle(str(sockdir / "1"), ME, 0.0)
        assert open_pins(sockdir) == 1

        deadline = time.monotonic() + 5
        while open_pins(sockdir):
            assert time.monotonic() < deadline
            loop.run_until_complete(asyncio.sleep(0.01))


def test_a_user_whose_paths_take_long_gets_a_few_replies_in_a_turn_and_a_share_of_the_time(
    loop: asyncio.AbstractEventLoop, sockdir: Path
) -> None:
    ticks = count()
    # Each look-up takes 10 ms.
    pins = PinnedSenders(loop, MANY, ProofBudget(), lambda: next(ticks) / 100)
    names = [str(sockdir / str(number)) for number in range(120)]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(bound(Path(name)))
        answered = 0
        for first, second in zip(names[::2], names[1::2], strict=True):
            pins.begin()
            assert pins.seconds == 0
            try:
                pins.handle(first, ME, 0.0)
            except TimeoutError:
                break
            answered += 1
            assert pins.seconds > 0.001
            with pytest.raises(TimeoutError):  # in the same turn
                pins.handle(second, ME, 0.0)
            with pytest.raises(PermissionError):  # another user's datagram is looked up
                pins.handle(second, ME + answered, 0.0)
        assert 49 <= answered <= 51  # half a second
        pins.begin()
        with pytest.raises(TimeoutError):  # the share is used up
            pins.handle(names[-1], ME, 0.0)
        pins.handle(names[-1], ME, 1.0)
    pins.close()


@pytest.mark.parametrize("detour", [False, True], ids=["directly", "by a link"])
def test_no_path_leads_through_a_descriptor_of_the_service(
    pins: PinnedSenders, sockdir: Path, detour: bool
) -> None:
    """A client may have passed it, and the client's own file system need never answer."""
    directory = os.open(sockdir, os.O_PATH | os.O_DIRECTORY)
    with bound(sockdir / "me"), ExitStack() as closing:
        closing.callback(os.close, directory)
        path = Path(f"/proc/self/fd/{directory}")
        if detour:
            (sockdir / "link").symlink_to(path)
            path = sockdir / "link"
        with pytest.raises(OSError, match="Too many levels") as caught:
            pins.handle(str(path / "me"), ME, 0.0)
    assert caught.value.errno == errno.ELOOP


def test_nor_does_a_later_look_at_a_known_path(pins: PinnedSenders, sockdir: Path) -> None:
    path = sockdir / "names" / "me"
    path.parent.mkdir()
    with bound(path), ExitStack() as closing:
        pins.handle(str(path), ME, 0.0)
        path.parent.rename(sockdir / "moved")
        directory = os.open(sockdir / "moved", os.O_PATH | os.O_DIRECTORY)
        closing.callback(os.close, directory)
        path.parent.symlink_to(f"/proc/self/fd/{directory}")
        with pytest.raises(OSError, match="Too many levels") as caught:
            pins.handle(str(path), ME, 10.0)
    assert caught.value.errno == errno.ELOOP
