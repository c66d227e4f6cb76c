"""Watching with inotify: which changes are reported, and which cause no event."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from localechod.localsocket.address import Address
from localechod.localsocket.entry import DirectoryEntry, PinnedEntry
from localechod.localsocket.watch import NullWatcher, Watcher
from tests.integration.harness import as_user, needs_root

NOBODY = 65534


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher()
    yield watcher
    watcher.close()


@pytest.fixture
def path(sockdir: Path) -> Path:
    """A socket file two directories deep."""
    path = sockdir / "d" / "e" / "s"
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    return path


@pytest.fixture
def file(path: Path) -> Iterator[PinnedEntry]:
    with ExitStack() as stack:
        place = DirectoryEntry.open(Address.parse(str(path)))
        stack.callback(place.close)
        file = place.pin()
        stack.callback(file.close)
        yield file


def put_another(path: Path) -> None:
    (path.parent / "new").touch()
    (path.parent / "new").rename(path)


HARM: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "renamed": lambda path: path.rename(path.with_name("t")),
    "replaced": put_another,
    "chmod": lambda path: path.chmod(0o600),
    "parent renamed": lambda path: path.parent.rename(path.parent.with_name("f")),
    "grandparent renamed": lambda path: path.parents[1].rename(path.parents[2] / "f"),
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("by_names", [False, True])
def test_every_change_of_the_file_is_reported_once_for_its_key(
    watcher: Watcher, path: Path, file: PinnedEntry, harm: str, *, by_names: bool
) -> None:
    if by_names:
        assert watcher.names("a", path)
    else:
        assert watcher.file("a", path, file)
    assert watcher.changed() == set()
    HARM[harm](path)
    assert select.select(watcher.descriptors, [], [], 0)[0]
    assert watcher.changed() == {"a"}
    assert watcher.changed() == set()


def test_a_busy_directory_causes_no_event_while_the_file_is_in_place(
    watcher: Watcher, path: Path, file: PinnedEntry
) -> None:
    assert watcher.file("a", path, file)
    for directory in path.parents[:3]:
        other = directory / "other"
        other.touch()
        other.chmod(0o600)
        other.unlink()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect_ex(str(path))
    assert not select.select(watcher.descriptors, [], [], 0)[0]


def test_other_names_are_dropped_while_the_file_is_missing(watcher: Watcher, path: Path) -> None:
    path.unlink()
    assert watcher.names("a", path)
    for directory in path.parents[:3]:
        (directory / "other").touch()
    assert select.select(watcher.descriptors, [], [], 0)[0]
    assert watcher.changed() == set()
    path.touch()
    assert watcher.changed() == {"a"}


def test_a_missing_directory_is_watched_for_in_the_nearest_existing_one(
    watcher: Watcher, sockdir: Path
) -> None:
    path = sockdir / "x" / "y" / "s"
    assert watcher.names("a", path)
    (sockdir / "x").mkdir()
    assert watcher.changed() == {"a"}
    assert watcher.names("a", path)
    (sockdir / "x").chmod(0o700)
    assert watcher.changed() == {"a"}
    (sockdir / "x" / "y").mkdir()
    assert watcher.changed() == {"a"}


def test_a_changed_link_on_the_path_is_reported(
    watcher: Watcher, path: Path, file: PinnedEntry
) -> None:
    link = path.parents[2] / "link"
    link.symlink_to("d")
    assert watcher.file("a", link / "e" / "s", file)
    link.unlink()
    assert watcher.changed() == {"a"}
    link.symlink_to("d")
    assert watcher.file("a", link / "e" / "s", file)
    path.parent.rename(path.parents[1] / "f")
    assert watcher.changed() == {"a"}


def test_keys_share_directories_and_are_removed_one_by_one(watcher: Watcher, sockdir: Path) -> None:
    for key in ("a", "b"):
        assert watcher.names(key, sockdir / key)
    (sockdir / "a").touch()
    assert watcher.changed() == {"a"}
    (sockdir / "b").touch()
    assert watcher.changed() == {"b"}
    watcher.forget("a")
    (sockdir / "a").unlink()
    assert watcher.changed() == set()
    sockdir.chmod(0o700)
    assert watcher.changed() == {"b"}


def test_when_events_were_lost_every_key_has_changed(watcher: Watcher, sockdir: Path) -> None:
    for key in ("a", "b"):
        watcher.names(key, sockdir / key)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))
    other = sockdir / "other"
    for _ in range(limit // 2 + 1):
        other.touch()
        other.unlink()
    found: set[str] = set()
    while select.select(watcher.descriptors, [], [], 0)[0]:
        found |= watcher.changed()
    assert found == {"a", "b"}


@needs_root
@pytest.mark.parametrize(
    ("mode", "sees"),
    [(0o755, True), (0o711, False), (0o700, True)],
    ids=["readable", "may be entered but not read", "closed: the one above tells"],
)
def test_a_directory_that_hides_events_is_reported(sockdir: Path, mode: int, *, sees: bool) -> None:
    (sockdir / "d").mkdir()
    (sockdir / "d").chmod(mode)

    def names() -> int:
        watcher = Watcher()
        return watcher.names("a", sockdir / "d" / "e" / "s")

    assert as_user(NOBODY, [], names) == sees


@needs_root
def test_a_file_that_may_not_be_read_is_watched_by_its_name(path: Path, file: PinnedEntry) -> None:
    path.chmod(0o600)

    def removed() -> int:
        watcher = Watcher()
        watched = watcher.file("a", path, file)
        os.write(ready, b".")
        os.read(go, 1)
        return watched and watcher.changed() == {"a"}

    went, ready = os.pipe()
    go, going = os.pipe()
    with ExitStack() as stack:
        for descriptor in (went, ready, go, going):
            stack.callback(os.close, descriptor)
        child = os.fork()
        if child == 0:
            os._exit(as_user(NOBODY, [], removed))
        os.read(went, 1)
        path.unlink()
        os.write(going, b".")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_a_watcher_starts_no_process_and_is_closed_twice() -> None:
    program = (
        "import sys\n"
        "sys.addaudithook(lambda event, _: event == 'subprocess.Popen' and sys.exit(event))\n"
        "from localechod.localsocket.watch import Watcher\n"
        "watcher = Watcher()\n"
        "watcher.close()\n"
        "watcher.close()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_inotify_nothing_is_watched(path: Path, file: PinnedEntry) -> None:
    null = NullWatcher()
    assert not null.file("a", path, file)
    assert not null.names("a", path)
    null.forget("a")
    assert null.changed() == set()
    assert null.descriptors == ()
    null.close()


LIMIT = "/proc/sys/user/max_inotify_watches"

# Its own user namespace has limits of its own; inotify(7), namespaces(7).
FULL = """
import os, socket, sys
from pathlib import Path
from localechod.localsocket.address import Address
from localechod.localsocket.entry import DirectoryEntry
from localechod.localsocket.watch import Watcher
watcher = Watcher()
for name in "abcdefgh":
    path = Path(sys.argv[1]) / name
    socket.socket(socket.AF_UNIX).bind(str(path))
    file = DirectoryEntry.open(Address.parse(str(path))).pin()
    print(watcher.file(name, path, file))
"""


@needs_root
@pytest.mark.skipif(
    bool(os.statvfs(LIMIT).f_flag & os.ST_RDONLY), reason=f"{LIMIT} is read-only here"
)
def test_without_a_watch_left_it_says_so_once(sockdir: Path) -> None:
    told = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c",
         f'echo 8 >{LIMIT} && exec "$0" -c "$1" "$2"',
         sys.executable, FULL, str(sockdir)],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    watched = told.stdout.split()
    assert watched[0] == "True"
    assert watched[-1] == "False"
    assert told.stderr == (
        "inotify_add_watch failed: No space left on device (28): changes of some socket files "
        "will not be noticed; raise the limit, which is for all programs of this user: sysctl "
        "fs.inotify.max_user_watches\n"
    )


def test_what_is_forgotten_is_found_without_a_search(watcher: Watcher, path: Path) -> None:
    for number in range(100):
        watcher.names(f"key{number}", path)
    watcher.forget("key7")
    path.unlink()
    assert watcher.changed() == {f"key{number}" for number in range(100) if number != 7}
    for number in range(100):
        watcher.forget(f"key{number}")
    assert not watcher._names._watches
    assert not watcher._names._of_key
