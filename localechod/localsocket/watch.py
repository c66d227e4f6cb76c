"""Notification of changes to a socket's file, without polling.

It uses two inotify(7) instances, because an instance has only one event mask per inode:

- While a file is at its path, its own inode is watched, and the directories above it only for
  being moved or removed themselves. Other changes in these directories cause no event, so a
  socket in a busy /tmp costs nothing.
- While it is missing or replaced, there is no inode to watch. Every directory on the path is
  watched for the next name of the path, and events for all other names are dropped.

There is no event when a file system is mounted over a directory, nor for changes that another
machine makes to a shared file system.
"""

import errno
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import inotify_simple
from inotify_simple import flags

from localechod.localsocket.entry import PinnedEntry

log = logging.getLogger("localechod.localsocket")

# An unlink is reported as a changed link count, because we hold the inode open.
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

# Bytes per read; further events in the queue wait for the next iteration of the loop. An event
# takes 16, and up to 272 with a name.
_READ_SIZE = 512


class Watches(Protocol):
    """The interface of a watcher. Keys are the caller's; each stands for one file."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that become readable when there are events."""
        ...

    def file(self, key: str, path: Path, file: PinnedEntry) -> bool:
        """Watch a file that is at its path; it replaces what was watched for the key."""
        ...

    def names(self, key: str, path: Path) -> bool:
        """Watch for a file to appear at a path; it replaces what was watched for the key."""
        ...

    def forget(self, key: str) -> None:
        """Stop watching for the key."""
        ...

    def changed(self) -> set[str]:
        """Read the pending events; return the keys that they concern."""
        ...

    def close(self) -> None:
        """Close the descriptors."""
        ...


class Watcher:
    """A watcher with inotify.

    `file` and `names` return False where a change may cause no event: a watch needs read
    permission for the file or directory, and the number of watches per user is limited.

    Raises:
        OSError: EMFILE, ENFILE, inotify_init1(2).
    """

    def __init__(self) -> None:
        self._is_full = False
        self._files = _Instance(self._full)
        try:
            self._names = _Instance(self._full)
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
        # Where the path contains symbolic links, both their and the real directories are watched.
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
                    break  # the directory above has an event when that changes
                # A directory that we may not search is watched through the one above it. One that
                # we may search but not read hides the changes in it.
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

    def _full(self) -> None:
        if not self._is_full:
            self._is_full = True
            log.warning(
                "inotify_add_watch failed: %s (%d): changes of some socket files will not be "
                "noticed; raise the limit, which is for all programs of this user: sysctl "
                "fs.inotify.max_user_watches",
                os.strerror(errno.ENOSPC),
                errno.ENOSPC,
            )


class NullWatcher:
    """A watcher without events, where inotify is not available."""

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
    """One inotify instance; it maps each watch to its keys and their names, b"" for any name."""

    def __init__(self, full: Callable[[], None]) -> None:
        self._full = full
        self._inotify = inotify_simple.INotify(nonblocking=True)
        self.descriptor: int = self._inotify.fileno()
        self._watches: dict[int, dict[str, bytes]] = {}
        self._of_key: dict[
            str, set[int]
        ] = {}  # a search of all watches takes long if there are many

    def add(self, key: str, path: str, mask: int, name: bytes = b"") -> None:
        """Watch an inode; see inotify_add_watch(2) for the OSError."""
        try:
            watch = self._inotify.add_watch(path, mask)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self._full()
            raise
        self._watches.setdefault(watch, {})[key] = name
        self._of_key.setdefault(key, set()).add(watch)

    def forget(self, key: str) -> None:
        """Remove the watches that no other key needs."""
        for watch in self._of_key.pop(key, ()):
            keys = self._watches.get(watch, {})
            if keys.pop(key, None) is not None and not keys:
                del self._watches[watch]
                with suppress(OSError):  # EINVAL: its inode is gone, and the watch with it
                    self._inotify.rm_watch(watch)

    def read(self) -> set[str]:
        """Return the keys that the pending events concern; after an overflow, all of them."""
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
    """Add each watch that is possible; False if one was not."""
    done = True
    for path in paths:
        try:
            add(path)
        except OSError:
            done = False
    return done
