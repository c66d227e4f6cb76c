"""The daemon of a test session, and the process that ends it however the session ends."""

import errno
import os
import select
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, cast

from localechod.control.client import Client
from localechod.control.connect import ConnectionLostError
from localechod.errors import DaemonNotRunningError, LocalechodError, SocketError
from localechod.text import printable

# Ends the daemon and removes its directory when standard input ends: also after a session that was
# killed, for the kernel closes the other end of the pipe then. The daemon alone has its standard
# output, whose end tells that the daemon has ended. setsid(2) keeps Ctrl-C from it.
_KEEPER = """
directory=$1
shift
"$@" </dev/null 2>"$directory/log" &
exec >/dev/null
read -r _
kill "$!" 2>/dev/null
wait "$!"
rm -rf -- "$directory"
"""

# Variables by which a service manager talks to pytest itself (sd_notify(3), sd_listen_fds(3)).
_MANAGERS = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"}

# In bytes: a directory's name of 20, "/run/" and a name such as "seqpacket-1234.sock" follow; and a
# socket's path has 107 (unix(7)).
_LONGEST_ROOT = 60

_START_SECONDS = 20.0  # a hundred times what a start takes
_END_SECONDS = 20.0
_RETRY_SECONDS = 0.005


class SessionDaemon:
    """One localechod in a private directory, as the user who runs the tests.

    It is started at once. Started by root, it becomes the user nobody.

    Args:
        configuration: the text of its configuration file at the start.

    Raises:
        LocalechodError: it did not start; with what it wrote.
        OSError: no directory could be made, or no process be started.
    """

    def __init__(self, configuration: str) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="localechod-", dir=_root()))
        self.file = self._directory / "localechod.toml"
        self.client = Client(str(self._directory / "run" / "control.sock"))
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, self._directory)
            self.configure(configuration)
            if os.geteuid() == 0:
                # The daemon is another user then, and so may its clients be; whatever the umask.
                self._directory.chmod(0o711)
                self.file.chmod(0o644)
            self._keeper = self._start()
            undo.pop_all()
            undo.callback(self.end)
            self._await()
            undo.pop_all()

    def configure(self, text: str) -> None:
        """Write the configuration; the daemon reads it with the next reload."""
        self.file.write_text(text, encoding="utf-8")

    def end(self) -> None:
        """End the daemon, and return when it and its directory are gone.

        Raises:
            subprocess.TimeoutExpired: it did not end.
        """
        keeper, stdin = self._keeper, cast("IO[bytes]", self._keeper.stdin)
        # A line, and not the end of file alone: a process that a test has forked may have the pipe.
        with suppress(BrokenPipeError), stdin:
            stdin.write(b"end\n")
        with cast("IO[bytes]", keeper.stdout):
            keeper.wait(_END_SECONDS)

    def _start(self) -> subprocess.Popen[bytes]:
        daemon = [sys.executable, "-P", "-m", "localechod.daemon", "-c", str(self.file)]
        daemon += ["--runtime-dir", str(self._directory / "run")]
        return subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "localechod-tests", str(self._directory), *daemon],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name not in _MANAGERS},
            start_new_session=True,
        )

    def _await(self) -> None:
        """Return when the daemon answers; no event tells when a control socket is open."""
        output = cast("IO[bytes]", self._keeper.stdout)
        for _ in range(int(_START_SECONDS / _RETRY_SECONDS)):
            try:
                self.client.status()
            except (DaemonNotRunningError, ConnectionLostError):
                pass
            except SocketError as error:
                if error.errno != errno.EACCES:  # bound, but not open yet
                    raise
            else:
                return
            if select.select([output], [], [], _RETRY_SECONDS)[0]:
                break
        log = (self._directory / "log").read_text("utf-8", "replace").strip()
        raise LocalechodError(f"localechod did not start: {printable(log) or 'no reason given'}")


def _root() -> str:
    """Return the directory for temporary files, or /tmp where that cannot serve.

    It may have too long a name. Root's may be another user's, where the daemon binds nothing.
    """
    root = tempfile.gettempdir()
    usable = os.geteuid() != 0 and len(os.fsencode(root)) <= _LONGEST_ROOT
    return root if usable else "/tmp"  # noqa: S108 - mkdtemp's
