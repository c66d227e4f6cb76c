"""The running service under `localechoctl`: start, stop, restart, reload, and permissions."""

import json
import pwd
import socket
from pathlib import Path
from typing import Any

import pytest

from localechod import __version__
from tests.integration.harness import Daemon, needs_root, receive

TWO = """
[endpoints.a]
type = "stream"
mode = "0666"
[endpoints.b]
type = "datagram"
mode = "0666"
"""
NOBODY = pwd.getpwnam("nobody").pw_uid
DAEMON = pwd.getpwnam("daemon").pw_uid


def endpoint(daemon: Daemon, name: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = status(daemon)["endpoints"]
    return next(row for row in rows if row["name"] == name)


def status(daemon: Daemon) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(daemon.ctl("status", "--json").stdout)
    return shown


def answer(sock: socket.socket, line: bytes) -> bytes:
    sock.sendall(line + b"\n")
    return sock.recv(1000)


def test_status_has_every_field_of_the_contract(daemon: Daemon) -> None:
    daemon.configure(TWO)
    daemon.start()
    with daemon.connect("a") as sock:
        assert answer(sock, b"hello") == b"Hi, hello\n"
        shown = status(daemon)
    assert daemon.process is not None
    assert shown["daemon"].pop("uptime_seconds") >= 0
    user = pwd.getpwuid(Path(f"/proc/{daemon.process.pid}").stat().st_uid)
    assert shown["daemon"] == {
        "version": __version__,
        "pid": daemon.process.pid,
        "user": user.pw_name,
        "uid": user.pw_uid,
        "config": str(daemon.config),
        "runtime_dir": str(daemon.runtime),
        "restart_needed": [],
        "log_lines_left_out_total": 0,
    }
    assert shown["control"] == {"connections": 1, "errors": {}}
    assert shown["endpoints"][0] == {
        "name": "a",
        "type": "stream",
        "state": "listening",
        "path": daemon.path("a"),
        "mode": "0666",
        "owner": user.pw_name,
        "group": shown["endpoints"][0]["group"],
        "framing": "line",
        "connections": 1,
        "accepted_total": 1,
        "messages_total": 1,
        "received_bytes_total": 6,
        "sent_bytes_total": 10,
        "errors": {},
        "error": None,
        "restarts_total": 0,
        "faults": {},
        "faults_total": {},
    }


def test_stop_closes_listener_and_connections_and_start_binds_again(daemon: Daemon) -> None:
    daemon.configure(TWO)
    daemon.start()
    with daemon.connect("a") as sock:
        assert daemon.ctl("stop", "a").returncode == 0
        assert sock.recv(1) == b""
    assert not Path(daemon.path("a")).exists()
    assert daemon.ctl("status", "a").returncode == 1
    assert daemon.ctl("stop", "a").returncode == 0
    assert daemon.ctl("start", "a").returncode == 0
    assert daemon.ctl("start", "a").returncode == 0
    assert daemon.ctl("wait", "a", "--timeout", "5").returncode == 0
    with daemon.connect("a") as sock:
        assert answer(sock, b"again") == b"Hi, again\n"
    assert endpoint(daemon, "a")["accepted_total"] == 2


def test_restart_of_one_endpoint_leaves_the_others_alone(daemon: Daemon) -> None:
    daemon.configure(TWO + '[endpoints.c]\ntype = "seqpacket"\n')
    daemon.start()
    inode = Path(daemon.path("b")).stat().st_ino
    with daemon.connect("c", socket.SOCK_SEQPACKET) as other, daemon.connect("a") as sock:
        assert daemon.ctl("restart", "a").returncode == 0
        assert sock.recv(1) == b""
        other.send(b"x")
        assert other.recv(10) == b"Hi, x"
    assert Path(daemon.path("b")).stat().st_ino == inode
    assert endpoint(daemon, "a")["restarts_total"] == 1


def test_reload_applies_the_difference_and_keeps_untouched_connections(daemon: Daemon) -> None:
    old = TWO + '[endpoints.gone]\ntype = "stream"\n[endpoints.same]\ntype = "stream"\n'
    daemon.configure(old)
    daemon.start()
    with daemon.connect("a") as live, daemon.connect("same") as same:
        assert answer(live, b"1") == b"Hi, 1\n"
        daemon.configure(
            TWO.replace("[endpoints.b]", 'prefix = "> "\n[endpoints.b]').replace("0666", "0660", 2)
            + '[endpoints.same]\ntype = "stream"\n[endpoints.new]\ntype = "stream"\n'
        )
        done = daemon.ctl("reload", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == {
            "added": ["new"],
            "changed": ["a", "b"],
            "removed": ["gone"],
            "unchanged": ["same"],
            "restart_needed": [],
        }
        assert live.recv(1) == b""  # its mode changed, so it was bound again
        assert answer(same, b"2") == b"Hi, 2\n"
    with daemon.connect("a") as sock:
        assert answer(sock, b"3") == b"> 3\n"
    with daemon.connect("new") as sock:
        assert answer(sock, b"4") == b"Hi, 4\n"
    assert not Path(daemon.path("gone")).exists()
    assert daemon.ctl("send", "new", "5").stdout == "Hi, 5\n"


@pytest.mark.parametrize(
    ("keys", "reply"),
    [
        ('prefix = "> "', b"> x\n"),
        ('framing = "chunk"\nprefix = ""', b"x\n"),
        ('framing = "record"\nrecord_size = 8', b""),
        ("max_message = 0x10", b"Hi, x\n"),
        ("log_messages = true", b"Hi, x\n"),
    ],
)
def test_a_change_that_applies_live_keeps_the_connection(
    daemon: Daemon, keys: str, reply: bytes
) -> None:
    daemon.configure(TWO.partition("[endpoints.b]")[0])
    daemon.start()
    with daemon.connect("a") as sock:
        assert answer(sock, b"before") == b"Hi, before\n"
        daemon.configure(TWO.partition("[endpoints.b]")[0] + keys + "\n")
        assert daemon.ctl("reload").returncode == 0
        if reply:
            assert answer(sock, b"x") == reply
        else:
            sock.sendall(b"x".ljust(8, b"\0"))
            assert receive(sock, 8) == b"Hi, x".ljust(8, b"\0")
    assert endpoint(daemon, "a")["accepted_total"] == 1


def test_an_invalid_reload_changes_nothing_and_says_why(daemon: Daemon) -> None:
    daemon.configure(TWO)
    daemon.start()
    with daemon.connect("a") as sock:
        daemon.configure(TWO + "mode = 5\n")
        refused = daemon.ctl("reload")
        assert refused.returncode == 78
        assert f"{daemon.config}: " in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert answer(sock, b"x") == b"Hi, x\n"


def test_a_path_that_cannot_be_bound_is_refused_before_anything_closes(
    daemon: Daemon,
) -> None:
    daemon.configure(TWO)
    daemon.start()
    with daemon.connect("a") as sock:
        daemon.configure(TWO.replace('"stream"', '"stream"\npath = "/no/such/dir/a.sock"'))
        refused = daemon.ctl("reload")
        assert refused.returncode == 7
        assert refused.stderr.startswith("bind failed: No such file or directory (2)")
        assert answer(sock, b"x") == b"Hi, x\n"
    assert endpoint(daemon, "a")["path"] == daemon.path("a")


def test_a_stop_by_hand_and_the_counters_survive_a_reload(daemon: Daemon) -> None:
    daemon.configure(TWO)
    daemon.start()
    with daemon.connect("a") as sock:
        answer(sock, b"x")
    assert daemon.ctl("stop", "a").returncode == 0
    daemon.configure(TWO.replace("0666", "0660"))
    assert daemon.ctl("reload").returncode == 0
    row = endpoint(daemon, "a")
    assert (row["state"], row["messages_total"], row["mode"]) == ("stopped", 1, "0660")


def test_an_endpoint_is_disabled_and_enabled_by_reload(daemon: Daemon) -> None:
    daemon.configure(TWO)
    daemon.start()
    daemon.configure(TWO + "enabled = false\n")
    assert daemon.ctl("reload").returncode == 0
    assert endpoint(daemon, "b")["state"] == "stopped"
    daemon.configure(TWO)
    assert daemon.ctl("reload").returncode == 0
    assert endpoint(daemon, "b")["state"] == "listening"


def test_service_and_control_keys_are_listed_as_needing_a_restart(daemon: Daemon) -> None:
    daemon.configure(TWO)
    daemon.start()
    daemon.configure(TWO, service="drain_timeout = 1.5", head='control.mode = "0600"')
    done = daemon.ctl("reload")
    assert done.returncode == 0
    assert "service.drain_timeout" in done.stdout
    assert status(daemon)["daemon"]["restart_needed"] == ["service.drain_timeout", "control.mode"]
    assert "drain_timeout = 5.0" in daemon.ctl("config", "show").stdout


@needs_root
def test_a_non_administrator_may_read_and_not_change(daemon: Daemon) -> None:
    daemon.configure(TWO)
    daemon.start()
    assert daemon.ctl("status", user=DAEMON).returncode == 0
    for command in ("start", "stop", "restart"):
        refused = daemon.ctl(command, "a", user=DAEMON)
        assert refused.returncode == 4, refused.stderr
    refused = daemon.ctl("reload", user=DAEMON)
    assert refused.returncode == 4
    assert len(refused.stderr.splitlines()) == 1
    assert endpoint(daemon, "a")["state"] == "listening"
    assert f"uid {DAEMON}" in daemon.log.read_text(encoding="utf-8")


@needs_root
def test_the_daemons_own_user_may_always_change(daemon: Daemon) -> None:
    daemon.configure(TWO)
    daemon.start()
    assert daemon.ctl("restart", "a", user=NOBODY).returncode == 0


@needs_root
def test_in_peers_a_non_administrator_sees_only_their_own_rows(daemon: Daemon) -> None:
    daemon.configure(TWO)
    daemon.start()
    with daemon.connect("a") as sock:
        answer(sock, b"x")
        mine = json.loads(daemon.ctl("peers", "--json").stdout)
        theirs = json.loads(daemon.ctl("peers", "--json", user=DAEMON).stdout)
    assert [(row["uid"], row["endpoint"]) for row in mine] == [(0, "a")]
    assert theirs == []


def test_without_its_control_socket_the_endpoints_serve(daemon: Daemon) -> None:
    daemon.configure(TWO, head='[control]\npath = "/no/such/dir/control.sock"')
    daemon.start()
    with daemon.connect("a") as sock:
        assert answer(sock, b"x") == b"Hi, x\n"
    assert "control socket: bind failed: No such file" in daemon.log.read_text(encoding="utf-8")
    assert daemon.stop() == 0


def test_events_report_changes_of_state(daemon: Daemon) -> None:
    daemon.configure(TWO)
    daemon.start()
    daemon.ctl("stop", "a")
    events = [json.loads(line) for line in daemon.ctl("events", "--json").stdout.splitlines()]
    last = events[-1]
    assert (last["kind"], last["endpoint"], last["state"]) == ("state", "a", "stopped")


def test_metrics_are_open_metrics(daemon: Daemon) -> None:
    daemon.configure(TWO)
    daemon.start()
    with daemon.connect("a") as sock:
        answer(sock, b"x")
    text = daemon.ctl("metrics").stdout
    assert text.endswith("# EOF\n")
    assert 'localechod_messages_total{endpoint="a",type="stream"} 1' in text
