"""Being told, without asking again and again, that something happened to a socket's file.

inotify(7) in two instances, because the events that a watch asks for belong to the inode and not
to who asked:

- While a file stands where it should, its own inode is watched, and the directories above it only
  for being moved or removed themselves. What others do in these directories makes no event at all,
  so a socket in a busy /tmp costs nothing.
- While it is missing, or something else has its place, there is no inode to watch: every directory
  on the path is watched for the one name that leads on, and all other names are dropped.

A file system mounted over a directory, and what happens on another machine to a file system that
both share, make no event.
"""

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import inotify_simple
from inotify_simple import flags

from localechod.localsocket.entry import PinnedEntry

# The file's own fate: an unlink shows as a changed number of links, because we hold the inode.
_OF_FILE = flags.ATTRIB | flags.MOVE_SELF | flags.DELETE_SELF
_OF_DIRECTORY = flags.MOVE_SELF | flags.DELETE_SELF | flags.DONT_FOLLOW
_OF_NAMES = (
    flags.CREATE
    | flags.DELETE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.ATTRIB
    | flags.MOVE_SELF
    | flags.DELETE_SELF
    | flags.ONLYDIR
)

# Read at a time, in bytes: what lies in the queue beyond it waits for the next turn of the loop.
_READ_SIZE = 16384


class Watches(Protocol):
    """Who is asked to watch. Keys are the caller's; each stands for one file."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when there are events."""
        ...

    def file(self, key: str, path: Path, file: PinnedEntry) -> bool:
        """Watch a file that stands at its path, instead of what was watched for the key."""
        ...

    def names(self, key: str, path: Path) -> bool:
        """Watch for what could come to stand at a path, instead of what was watched before."""
        ...

    def forget(self, key: str) -> None:
        """Watch nothing for the key."""
        ...

    def changed(self) -> set[str]:
        """Read the events that wait; return the keys that they concern."""
        ...

    def close(self) -> None:
        """End."""
        ...


class Watcher:
    """Watches by inotify.

    `file` and `names` return False where something could happen that makes no event for us:
    watching takes the right to read a file or directory, and the user's watches have a limit.

    Raises:
        OSError: EMFILE, ENFILE, inotify_init1(2).
    """

    def __init__(self) -> None:
        self._files = _Instance()
        try:
            self._names = _Instance()
        except OSError:
            self._files.close()
            raise

    @property
    def descriptors(self) -> tuple[int, ...]:
        """See Watches."""
        return self._files.descriptor, self._names.descriptor

    def file(self, key: str, path: Path, file: PinnedEntry) -> bool:
        """See Watches."""
        self.forget(key)
        # Where the path leads through symbolic links, these and the true directories count alike.
        real = Path(os.path.realpath(path.parent))
        directories = {*path.parents, real, *real.parents}
        try:
            self._files.add(key, file.handle, _OF_FILE)
        except OSError:
            return self.names(key, path)
        return _all(lambda each: self._files.add(key, str(each), _OF_DIRECTORY), directories)

    def names(self, key: str, path: Path) -> bool:
        """See Watches."""
        self.forget(key)
        chain = [path, *path.parents]
        for inner, directory in reversed(list(pairwise(chain))):
            try:
                self._names.add(key, str(directory), _OF_NAMES, os.fsencode(inner.name))
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                    break  # the directory above tells when that changes
                # One that we may not enter is told of by the one above it; one that we may enter
                # and not read hides what happens in it.
                if os.access(directory, os.X_OK, effective_ids=True):
                    return False
        return True

    def forget(self, key: str) -> None:
        """See Watches."""
        self._files.forget(key)
        self._names.forget(key)

    def changed(self) -> set[str]:
        """See Watches."""
        return self._files.read() | self._names.read()

    def close(self) -> None:
        """See Watches."""
        self._files.close()
        self._names.close()


class NullWatcher:
    """Watches nothing, where inotify is not to be had."""

    descriptors: tuple[int, ...] = ()

    def file(self, key: str, path: Path, file: PinnedEntry) -> bool:  # noqa: ARG002 - see Watches
        """See Watches."""
        return False

    def names(self, key: str, path: Path) -> bool:  # noqa: ARG002 - see Watches
        """See Watches."""
        return False

    def forget(self, key: str) -> None:
        """See Watches."""

    def changed(self) -> set[str]:
        """See Watches."""
        return set()

    def close(self) -> None:
        """See Watches."""


class _Instance:
    """One inotify instance: which keys each watch serves, and the name it is for, b"" for any."""

    def __init__(self) -> None:
        self._inotify = inotify_simple.INotify(nonblocking=True)
        self.descriptor: int = self._inotify.fileno()
        self._watches: dict[int, dict[str, bytes]] = {}

    def add(self, key: str, path: str, mask: int, name: bytes = b"") -> None:
        """Watch an inode; see inotify_add_watch(2) for the OSError."""
        watch = self._inotify.add_watch(path, mask)
        self._watches.setdefault(watch, {})[key] = name

    def forget(self, key: str) -> None:
        """Let go of the watches that nobody else needs."""
        for watch in [watch for watch, keys in self._watches.items() if key in keys]:
            keys = self._watches[watch]
            del keys[key]
            if not keys:
                del self._watches[watch]
                with suppress(OSError):  # EINVAL: its inode is gone, and the watch with it
                    self._inotify.rm_watch(watch)

    def read(self) -> set[str]:
        """Return the keys that the waiting events concern; after an overflow, all of them."""
        try:
            data = os.read(self.descriptor, _READ_SIZE)
        except BlockingIOError:
            return set()
        found: set[str] = set()
        for watch, mask, _cookie, name in inotify_simple.parse_events(data):
            if mask & flags.Q_OVERFLOW:
                return {key for keys in self._watches.values() for key in keys}
            keys = self._watches.get(watch)
            if keys:
                entry = os.fsencode(name)
                found.update(key for key, wanted in keys.items() if entry in {b"", wanted})
            if mask & flags.IGNORED:
                self._watches.pop(watch, None)
        return found

    def close(self) -> None:
        self._inotify.close()


def _all(add: Callable[[Path], None], paths: Iterable[Path]) -> bool:
    """Watch what can be watched; False if something could not."""
    done = True
    for path in paths:
        try:
            add(path)
        except OSError:
            done = False
    return done
