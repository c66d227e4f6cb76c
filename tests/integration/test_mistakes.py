"""Every mistake a user can make ends in one clear line and the right exit status."""

import os
import socket
from pathlib import Path

import pytest

from tests.integration.harness import Daemon, needs_root

ONE = '[endpoints.a]\ntype = "stream"\n[endpoints.d]\ntype = "datagram"\n'
OTHER_USER = 1


def one_line(text: str) -> str:
    """The only line of an error, which is no traceback."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "start a",
        "stop a",
        "restart a",
        "reload",
        "peers",
        "events",
        "metrics",
        "config show",
    ],
)
def test_the_daemon_is_not_running(daemon: Daemon, command: str) -> None:
    refused = daemon.ctl(*command.split())
    assert refused.returncode == 3
    line = one_line(refused.stderr)
    assert "No such file or directory (2)" in line
    assert "journalctl -u localechod -n 20" in line


def test_send_to_a_name_when_the_daemon_is_not_running(daemon: Daemon) -> None:
    refused = daemon.ctl("send", "a", "hello")
    assert refused.returncode == 3
    one_line(refused.stderr)


def test_the_control_socket_is_stale(daemon: Daemon) -> None:
    daemon.runtime.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(daemon.runtime / "control.sock"))
    refused = daemon.ctl("status")
    assert refused.returncode == 3
    assert "Connection refused (111)" in one_line(refused.stderr)


@needs_root
def test_no_permission_on_the_control_socket(daemon: Daemon) -> None:
    daemon.configure(ONE, head='control.mode = "0600"')
    daemon.start()
    refused = daemon.ctl("status", user=OTHER_USER)
    assert refused.returncode == 4
    line = one_line(refused.stderr)
    assert line.startswith("connect failed: Permission denied (13)")
    assert "srw-------" in line


@pytest.mark.parametrize("command", ["status", "start", "stop", "restart", "peers", "send", "wait"])
def test_an_unknown_endpoint(daemon: Daemon, command: str) -> None:
    daemon.configure(ONE)
    daemon.start()
    refused = daemon.ctl(command, "b")
    assert refused.returncode == 2
    line = one_line(refused.stderr)
    assert "b" in line
    assert "a, d" in line


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("{dir}/absent.sock", 7, "connect failed: No such file or directory (2)"),
        ("{dir}/stale.sock", 7, "connect failed: Connection refused (111)"),
        ("{dir}/regular", 7, "regular file"),
        ("{dir}/fifo", 7, "FIFO"),
        ("{dir}/", 2, "names a directory"),
        ("{dir}", 7, "a directory"),
        ("./absent.sock", 7, "connect failed: No such file or directory (2): ./absent.sock"),
        ("unix://{dir}/absent.sock", 7, "connect failed: No such file or directory (2): /"),
        ("/" + "x" * 108, 2, "the limit for a socket's path is 107"),
        ("@" + "x" * 108, 2, "the limit for a socket's name is 108"),
        ("@localechod-nobody-listens", 7, "connect failed: Connection refused (111)"),
    ],
)
def test_nobody_answers_at_an_address(daemon: Daemon, target: str, status: int, said: str) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(daemon.directory / "stale.sock"))
    (daemon.directory / "regular").touch()
    os.mkfifo(daemon.directory / "fifo")
    refused = daemon.ctl("send", target.format(dir=daemon.directory), "hello")
    assert said in one_line(refused.stderr)
    assert refused.returncode == status
    assert refused.stdout == ""


def test_a_type_that_is_not_the_sockets(daemon: Daemon) -> None:
    daemon.configure(ONE)
    daemon.start()
    refused = daemon.ctl("send", "--type", "stream", daemon.path("d"), "hello")
    assert refused.returncode == 1
    line = one_line(refused.stderr)
    assert line.startswith("connect failed: Protocol wrong type for socket (91)")
    assert "datagram" in line


@needs_root
def test_no_permission_on_an_endpoint(daemon: Daemon) -> None:
    daemon.configure(ONE)
    daemon.start()
    refused = daemon.ctl("send", daemon.path("a"), "hello", user=OTHER_USER)
    assert refused.returncode == 4
    line = one_line(refused.stderr)
    assert line.startswith("connect failed: Permission denied (13)")
    assert "srw-rw----" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = ", "not valid TOML"),
        ('version = 1\n[endpoints.a]\ntype = "stream"\npath = "a.sock"', "absolute path"),
        (f'version = 1\n[endpoints.a]\ntype = "stream"\npath = "/{"x" * 200}"', "path is 107"),
        ('version = 1\n[endpoints.a]\ntype = "pipe"', "endpoints.a.type"),
    ],
)
def test_a_bad_configuration(daemon: Daemon, text: str, said: str) -> None:
    daemon.config.write_text(text, encoding="utf-8")
    for refused in (
        daemon.run(),
        daemon.run("--check"),
        daemon.ctl("config", "check", str(daemon.config)),
    ):
        assert refused.returncode == 78
        line = one_line(refused.stderr)
        assert line.startswith(f"{daemon.config}: ")
        assert said in line


def test_a_configuration_that_is_not_there(daemon: Daemon) -> None:
    refused = daemon.run()
    assert refused.returncode == 78
    assert (
        one_line(refused.stderr) == f"open failed: No such file or directory (2): {daemon.config}"
    )


@pytest.mark.parametrize(
    ("obstacle", "said"),
    [("directory", "a directory has that path"), ("file", "a regular file has")],
)
def test_something_else_stands_at_an_endpoints_path(
    daemon: Daemon, obstacle: str, said: str
) -> None:
    path = daemon.directory / "taken"
    path.mkdir() if obstacle == "directory" else path.write_text("precious", encoding="utf-8")
    daemon.configure(ONE + f'[endpoints.t]\ntype = "stream"\npath = "{path}"\n')
    daemon.start()
    shown = daemon.ctl("status", "t")
    assert shown.returncode == 1
    assert "bind failed: Address already in use (98)" in shown.stdout
    assert said in " ".join(shown.stdout.split())
    assert path.is_dir() or path.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--no-such-option"], "unrecognized arguments: --no-such-option; "),
        (["--log-level", "loud"], "argument --log-level: invalid choice: 'loud' "),
        (["--check", "--pid-file"], "argument --pid-file: expected one argument; "),
        (
            ["two\nlines", "\x1b[31m", "\udcff"],
            r"unrecognized arguments: two\nlines \x1b[31m \xff; ",
        ),
    ],
)
def test_the_daemons_command_line(daemon: Daemon, arguments: list[str], says: str) -> None:
    refused = daemon.run(*arguments)
    assert refused.returncode == 2
    assert one_line(refused.stderr).startswith(says)
    assert refused.stderr.endswith("; see localechod --help\n")


@needs_root
def test_a_runtime_directory_of_somebody_else(daemon: Daemon) -> None:
    daemon.configure(ONE)
    daemon.runtime.mkdir()
    os.chown(daemon.runtime, OTHER_USER, OTHER_USER)
    refused = daemon.run()
    assert refused.returncode == 1
    assert "belongs to uid 1 instead of" in one_line(refused.stderr)


def test_a_runtime_directory_that_cannot_be_made(daemon: Daemon) -> None:
    daemon.configure(ONE)
    daemon.runtime = Path("/proc/no/such/dir")
    refused = daemon.run()
    assert refused.returncode == 1
    assert one_line(refused.stderr).startswith("mkdir failed: No such file or directory (2)")
