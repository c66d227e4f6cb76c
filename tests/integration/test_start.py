"""Start and end: the ids of the daemon, only one of them, and the files that remain."""

import os
import pwd
import signal
import socket
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.harness import DEADLINE, SERVICE_USER, Daemon, needs_root, receive, until

ONE = '[endpoints.a]\ntype = "stream"\nmode = "0666"\n'


def fill(sock: socket.socket, message: bytes) -> int:
    """Send until nothing more fits; return how many messages went out whole."""
    sock.setblocking(False)
    sent = 0
    with suppress(BlockingIOError):
        while True:
            sent += sock.send(message) // len(message)
    return sent


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@needs_root
def test_started_as_root_it_serves_with_nothing_of_root_left(daemon: Daemon) -> None:
    daemon.configure(ONE)
    daemon.start()
    assert daemon.process is not None
    status = status_of(daemon.process.pid)
    account = pwd.getpwnam(SERVICE_USER)
    assert status["Uid"].split() == [str(account.pw_uid)] * 4
    assert status["Gid"].split() == [str(account.pw_gid)] * 4
    assert status["Groups"].split() == [str(account.pw_gid)]
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert status[name] == "0" * 16
    assert status["NoNewPrivs"] == "1"
    owner = daemon.runtime.stat()
    assert (owner.st_uid, stat.filemode(owner.st_mode)) == (account.pw_uid, "drwxr-xr-x")


def test_a_second_start_is_refused_with_the_first_ones_pid(daemon: Daemon) -> None:
    daemon.configure(ONE)
    daemon.start()
    assert daemon.process is not None
    second = daemon.run()
    assert second.returncode == 1
    assert f"localechod is already running with pid {daemon.process.pid}: " in second.stderr
    assert len(second.stderr.splitlines()) == 1
    with daemon.connect("a") as sock:
        sock.sendall(b"still here\n")
        assert receive(sock, 15) == b"Hi, still here\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_nothing_left_but_the_emptied_lock(
    daemon: Daemon, number: signal.Signals
) -> None:
    daemon.configure(ONE + '[endpoints.d]\ntype = "datagram"\n')
    daemon.start()
    assert daemon.process is not None
    daemon.process.send_signal(number)
    assert daemon.process.wait(DEADLINE) == 0
    left = list(daemon.runtime.iterdir())
    assert [path.name for path in left] == ["localechod.lock"]
    assert left[0].read_bytes() == b""


def test_what_was_received_is_answered_before_the_end_and_then_comes_end_of_file(
    daemon: Daemon,
) -> None:
    daemon.configure(ONE + '[endpoints.q]\ntype = "seqpacket"\nmode = "0666"\n')
    daemon.start()
    with daemon.connect("a") as stream, daemon.connect("q", 5) as packets:
        # A whole socket buffer without reading: replies are unsent, and more waits to be read.
        sent = fill(stream, b"x" * 63 + b"\n")
        stream.settimeout(DEADLINE)
        packets.send(b"one")
        assert daemon.process is not None
        daemon.process.terminate()
        replies = receive(stream, 1 << 30)
        assert replies == (b"Hi, " + b"x" * 63 + b"\n") * sent
        assert [packets.recv(100), packets.recv(100)] == [b"Hi, one", b""]
    assert daemon.process.wait(DEADLINE) == 0


def test_a_client_that_never_reads_delays_the_end_by_drain_timeout_at_most(
    daemon: Daemon,
) -> None:
    daemon.configure(ONE, service="drain_timeout = 0.2")
    daemon.start()
    with daemon.connect("a") as stream:
        fill(stream, b"\n" * 4096)
        assert daemon.stop() == 0
        stream.settimeout(DEADLINE)
        while stream.recv(1 << 20):  # ends with end of file: a reset would raise
            pass


def test_without_an_endpoint_that_can_be_bound_it_ends_with_1_and_the_reason(
    daemon: Daemon,
) -> None:
    daemon.configure('[endpoints.a]\ntype = "stream"\npath = "/no/such/directory/a.sock"\n')
    refused = daemon.run()
    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("no endpoint could be bound: a: bind failed: No such file or directory")
    assert [path.name for path in daemon.runtime.iterdir()] == ["localechod.lock"]


@needs_root
def test_an_unknown_service_user_is_exit_78_with_the_remedy(daemon: Daemon) -> None:
    daemon.configure(ONE)
    text = daemon.config.read_text(encoding="utf-8").replace(SERVICE_USER, "no-such-user")
    daemon.config.write_text(text, encoding="utf-8")
    refused = daemon.run()
    assert refused.returncode == 78
    assert refused.stderr.startswith(
        'unknown user "no-such-user"; create it with "systemd-sysusers"'
    )
    assert not daemon.runtime.exists()


def test_check_prints_what_validates_again_and_binds_nothing(daemon: Daemon) -> None:
    daemon.configure(ONE)
    first = daemon.run("--check")
    assert first.returncode == 0
    daemon.config.write_text(first.stdout, encoding="utf-8")
    assert daemon.run("--check").stdout == first.stdout
    assert not daemon.runtime.exists()


def test_check_of_a_bad_file_is_exit_78_with_file_key_value_and_reason(daemon: Daemon) -> None:
    daemon.configure('[endpoints.a]\ntype = "stream"\nmode = 440\n')
    refused = daemon.run("--check")
    assert refused.returncode == 78
    assert refused.stderr == (
        f"{daemon.config}: endpoints.a.mode = 440: "
        'must be an octal string with a leading 0, such as "0660"\n'
    )
    assert refused.stdout == ""


def test_detached_it_serves_when_the_command_returns_and_empties_its_pid_file(
    daemon: Daemon,
) -> None:
    daemon.configure(ONE)
    # As root the pid file has to lie where only root writes.
    root = os.geteuid() == 0
    pid_file = Path(f"/run/le-test-{os.getpid()}.pid") if root else daemon.directory / "le.pid"
    started = daemon.run("--detach", "--pid-file", str(pid_file))
    try:
        assert (started.returncode, started.stderr) == (0, "")
        pid = int(pid_file.read_text(encoding="utf-8"))
        with daemon.connect("a") as sock:
            sock.sendall(b"x\n")
            assert receive(sock, 6) == b"Hi, x\n"
        second = daemon.run("--detach", "--pid-file", str(pid_file))
        assert second.returncode == 1
        assert f"already running with pid {pid}" in second.stderr
        os.kill(pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}").exists())
        assert pid_file.read_bytes() == b""
    finally:
        pid_file.unlink()


def test_a_detached_start_that_fails_tells_its_shell_why(daemon: Daemon) -> None:
    daemon.configure('[endpoints.a]\ntype = "stream"\npath = "/no/such/directory/a.sock"\n')
    root = os.geteuid() == 0
    pid_file = Path(f"/run/le-test-{os.getpid()}.pid") if root else daemon.directory / "le.pid"
    refused = daemon.run("--detach", "--pid-file", str(pid_file))
    pid_file.unlink()
    assert refused.returncode == 1
    assert "bind failed: No such file or directory (2)" in refused.stderr


@needs_root
def test_a_pid_file_where_others_may_write_is_refused(daemon: Daemon) -> None:
    daemon.configure(ONE)
    refused = daemon.run("--pid-file", str(daemon.directory / "le.pid"))
    assert refused.returncode == 1
    assert "is not safe for a pid file" in refused.stderr


def test_hang_up_reloads(daemon: Daemon) -> None:
    daemon.configure(ONE)
    daemon.start()
    daemon.configure(ONE + 'prefix = "> "\n')
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    with daemon.connect("a") as sock:

        def reloaded() -> bool:
            sock.sendall(b"x\n")
            return receive(sock, 4) == b"> x\n" or not receive(sock, 2)

        until(reloaded)


def test_a_bad_file_at_hang_up_changes_nothing_and_is_logged(daemon: Daemon) -> None:
    daemon.configure(ONE)
    daemon.start()
    daemon.config.write_text("version = 3\n", encoding="utf-8")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: b"reload failed: " in daemon.log.read_bytes())
    with daemon.connect("a") as sock:
        sock.sendall(b"x\n")
        assert receive(sock, 6) == b"Hi, x\n"


def test_a_daemon_that_ends_at_once_fails_its_test_at_once_with_its_log(daemon: Daemon) -> None:
    daemon.configure(ONE)
    with pytest.raises(AssertionError, match="has ended:\nunrecognized arguments: --fly"):
        daemon.start("--fly")


def test_detaching_under_systemd_is_refused(daemon: Daemon) -> None:
    daemon.configure(ONE)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NOTIFY_SOCKET", "@nobody-listens-here")
        refused = daemon.run("--detach")
    assert refused.returncode == 2
    assert refused.stderr.startswith("--detach under systemd: ")
