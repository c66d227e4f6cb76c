"""A file system that never answers, mounted by an ordinary user in namespaces of their own.

`python -m tests.integration.silent_files UID NAME`, as root: the process becomes that user, binds a
listener to the path NAME, and mounts an overlay over FUSE at its directory. It prints a line. The
FUSE server answers until the overlay is mounted, and then never again.
"""

import ctypes
import os
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

# sys/mount.h, linux/sched.h, linux/prctl.h
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_PR_SET_DUMPABLE = 4

# linux/fuse.h: a request's head, a reply's; two requests
_REQUEST, _REPLY = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
_STATFS, _INIT = 17, 26
_VERSION = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 10, 10, 4096, 1, 0, 0, 0)
_SIZES = struct.pack("<QQQQQIIII24x", 1, 1, 1, 1, 1, 4096, 255, 4096, 0)

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Mount it, and stay until standard input ends."""
    uid, name = int(sys.argv[1]), Path(sys.argv[2])
    _become(uid)
    _mount("none", Path("/"), None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", name.parent, "tmpfs")
    for each in ("fuse", "empty"):
        (name.parent / each).mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(name))
        listener.listen()
        device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={device},rootmode=40755,user_id=0,group_id=0,allow_other"
        _mount("silent", name.parent / "fuse", "fuse", 0, options)
        tell, told = os.pipe()
        os.set_blocking(tell, False)
        if not os.fork():
            os.close(told)
            with suppress(OSError):  # ENODEV: unmounted
                _serve(device, tell)
            os._exit(0)
        os.close(device)  # so that a wait ends with the server
        layers = f"lowerdir={name.parent}/fuse:{name.parent}/empty"
        _mount("overlay", name.parent, "overlay", 0, layers)
        os.write(told, b"x")
        os.write(1, b"mounted\n")
        sys.stdin.read()
        os.killpg(0, 9)


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _check(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))  # or /proc/self is root's
    _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {uid} 1")):
        Path("/proc/self", file).write_text(text, "ascii")


def _serve(device: int, tell: int) -> None:
    silent = False
    while request := os.read(device, 1 << 20):
        _, operation, number, *_ = _REQUEST.unpack_from(request)
        with suppress(BlockingIOError):
            silent = silent or bool(os.read(tell, 1))
        if silent:
            continue
        data = {_INIT: _VERSION, _STATFS: _SIZES}[operation]
        os.write(device, _REPLY.pack(_REPLY.size + len(data), 0, number) + data)


def _mount(source: str, target: Path, kind: str | None, flags: int = 0, options: str = "") -> None:
    encoded = kind and kind.encode()
    _check(_libc.mount(source.encode(), bytes(target), encoded, flags, options.encode()))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main()
