"""The file system of the runtime directory is full when the service starts."""

import socket
import subprocess
import sys
from pathlib import Path

from tests.integration.harness import needs_root

# A file system of 16 KiB in a mount namespace of its own, filled.
_FULL = """
mount -t tmpfs -o size=16k,mode=755 tmpfs "$1"
dd if=/dev/zero of="$1/filler" bs=4096 2>/dev/null || :
shift
exec "$@"
"""
_CONFIG = """\
version = 1
[service]
user = "nobody"
[endpoints.echo]
type = "stream"
"""


@needs_root
def test_on_a_full_file_system_the_endpoints_serve(tmp_path: Path) -> None:
    config = tmp_path / "localechod.toml"
    config.write_text(_CONFIG)
    command = ["unshare", "--mount", "sh", "-euc", _FULL, "sh", "/mnt"]
    command += [sys.executable, "-m", "localechod.daemon", "--log-level", "info"]
    command += ["--config", str(config), "--runtime-dir", "/mnt/localechod"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None
        lines = []
        for line in daemon.stderr:
            lines.append(line)
            if "serves as" in line:
                break
        said = "".join(lines)
        full = "write failed: No space left on device (28): /mnt/localechod"
        assert f"WARNING: {full}/localechod.lock; it is locked all the same\n" in said
        assert f"ERROR: {full}/endpoints.json\n" in said
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(f"/proc/{daemon.pid}/root/mnt/localechod/echo.sock")
            client.sendall(b"hello\n")
            assert client.recv(100) == b"Hi, hello\n"
        daemon.terminate()
        # To its end: a Python that cannot write its last lines to a closed pipe exits with 120.
        rest = daemon.stderr.read()
    assert daemon.returncode == 0, rest
