"""Security modules that may deny a connect although the file modes allow it.

Their policy is not evaluated. The report shows the labels that the module compares.
"""

import os
from dataclasses import dataclass
from pathlib import Path

_SELINUX = Path("/sys/fs/selinux/enforce")
_APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
_SMACK = Path("/sys/fs/smackfs")


@dataclass(frozen=True, slots=True)
class Security:
    """The active security module, and the labels that it compares ("" where unknown).

    Attributes:
        module: "SELinux", "AppArmor", "Smack", or "" where none can deny a connect.
        client: the label of the client.
        servers: the labels of the processes that hold the socket.
        file: the label of the socket file.
    """

    module: str
    client: str = ""
    servers: tuple[str, ...] = ()
    file: str = ""

    @property
    def is_open(self) -> bool:
        """True where no module can deny: none is active, or AppArmor confines neither side."""
        if self.module == "AppArmor":
            return all(map(_unconfined, (self.client, *filter(None, self.servers))))
        return not self.module


def read_labels(client: int, servers: tuple[int, ...], file: bytes) -> Security:
    """Find the active module, and read the labels.

    Args:
        client: the pid of the client.
        servers: the pids that hold the socket.
        file: a path to the socket file, b"" for an abstract name.
    """
    module = _module()
    if not module:
        return Security("")
    return Security(
        module,
        _label(client),
        tuple(_label(pid) for pid in servers),
        _file_label(file) if file and module == "SELinux" else "",
    )


def _module() -> str:
    if _read(_SELINUX) == "1":
        return "SELinux"
    if _read(_APPARMOR) == "Y":
        return "AppArmor"
    return "Smack" if _SMACK.is_dir() else ""


def _label(pid: int) -> str:
    directory = Path(f"/proc/{pid}/attr")
    # Before Linux 5.8 only the second file exists. It shows the first of several modules.
    return _read(directory / "apparmor/current") or _read(directory / "current")


def _file_label(file: bytes) -> str:
    try:
        packed = os.getxattr(file, "security.selinux")
    except OSError:
        return ""
    return packed.rstrip(b"\0").decode("utf-8", "replace")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _unconfined(label: str) -> bool:
    return label in {"", "unconfined"} or label.endswith((" (complain)", " (unconfined)"))
