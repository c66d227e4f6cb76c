"""An endpoint that failed comes up by itself: on the event that cures it, on a reload, in time."""

import socket
from pathlib import Path

import pytest

from tests.integration.harness import Daemon, needs_root, receive, until

OK = '[endpoints.ok]\ntype = "stream"\nmode = "0666"\n'


def endpoint(path: Path | str, keys: str = "") -> str:
    mode = "" if str(path).startswith("@") else 'mode = "0666"\n'
    return f'[endpoints.a]\ntype = "stream"\n{mode}path = "{path}"\n{keys}'


def lines(daemon: Daemon) -> list[str]:
    """Return everything that the log says about the endpoint."""
    told = daemon.log.read_text(encoding="utf-8").splitlines()
    return [line for line in told if line.startswith(("INFO: a: ", "WARNING: a: "))]


def hint(daemon: Daemon) -> str:
    """Return what `status` says helps, on one line."""
    return " ".join(daemon.ctl("status", "a").stdout.partition("hint:")[2].split())


def answers(daemon: Daemon, path: Path | str) -> bool:
    with daemon.connect(str(path)) as sock:
        sock.sendall(b"x\n")
        return receive(sock, 6) == b"Hi, x\n"


def test_a_directory_that_appears_cures_and_the_failure_was_told_once(
    either: Daemon, sockdir: Path
) -> None:
    path = sockdir / "x" / "y" / "a"
    either.configure(OK + endpoint(path))
    either.start()
    row = either.row("a")
    assert (row["state"], row["error"]) == (
        "failed",
        "bind failed: No such file or directory (2)",
    )
    (sockdir / "x").mkdir()
    (sockdir / "x" / "y").mkdir()
    (sockdir / "x" / "y").chmod(0o777)
    until(lambda: len(lines(either)) >= 2 and "listening" in lines(either)[-1])
    assert answers(either, path)
    assert sum("No such file" in line for line in lines(either)) == 1
    assert either.row("a")["restarts_total"] == 1


@needs_root
def test_a_directory_that_is_opened_cures(daemon: Daemon, sockdir: Path) -> None:
    (sockdir / "x").mkdir(mode=0o700)
    daemon.configure(OK + endpoint(sockdir / "x" / "a"))
    daemon.start()
    assert daemon.row("a")["error"] == "bind failed: Permission denied (13)"
    assert "next attempt" not in hint(daemon)  # an event tells, so time does not try
    (sockdir / "x").chmod(0o777)
    until(lambda: len(lines(daemon)) == 2)
    assert answers(daemon, sockdir / "x" / "a")


def test_an_address_that_somebody_holds_is_tried_until_it_is_free_and_told_once(
    daemon: Daemon, sockdir: Path
) -> None:
    name = f"localechod-{sockdir.name}"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"\0{name}")  # an abstract name makes no event: time alone tries
        other.listen()
        daemon.configure(OK + endpoint(f"@{name}"))
        daemon.start()
        until(lambda: "next attempt in" in hint(daemon))
        daemon.ctl("start", "a")  # a start by hand tries at once, and tells again
        assert daemon.row("a")["state"] == "failed"
    until(lambda: "listening" in lines(daemon)[-1])
    assert answers(daemon, f"\0{name}")
    assert sum("Address already in use" in line for line in lines(daemon)) == 2


def test_a_reload_tries_what_has_failed(daemon: Daemon, sockdir: Path) -> None:
    name = f"localechod-{sockdir.name}"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"\0{name}")
        daemon.configure(OK + endpoint(f"@{name}"))
        daemon.start()
        for _ in range(2):
            assert daemon.ctl("reload").returncode == 0
        assert daemon.row("a")["state"] == "failed"
        assert len(lines(daemon)) == 1
    assert daemon.ctl("reload").returncode == 0
    assert answers(daemon, f"\0{name}")


@needs_root
def test_an_endpoint_that_only_root_can_bind_is_not_tried_again(
    daemon: Daemon, sockdir: Path
) -> None:
    path = sockdir / "x" / "a"
    daemon.configure(OK + endpoint(path, 'bind_as = "root"\n'))
    daemon.start()
    assert daemon.row("a")["state"] == "failed"
    (sockdir / "x").mkdir()
    (sockdir / "x").chmod(0o777)
    assert daemon.ctl("reload").returncode == 0
    assert daemon.row("a")["state"] == "failed"
    assert not path.exists()
    assert len(lines(daemon)) == 1


def test_stopped_by_hand_it_is_not_tried_again(daemon: Daemon, sockdir: Path) -> None:
    path = sockdir / "x" / "a"
    daemon.configure(OK + endpoint(path))
    daemon.start()
    assert daemon.ctl("stop", "a").returncode == 0
    (sockdir / "x").mkdir()
    (sockdir / "x").chmod(0o777)
    assert daemon.ctl("reload").returncode == 0
    assert daemon.row("a")["state"] == "stopped"
    assert not path.exists()


@pytest.mark.parametrize("key", ["user", "group"])
@needs_root
def test_an_owner_without_an_account_waits_for_a_person(daemon: Daemon, key: str) -> None:
    daemon.configure(
        OK
        + '[endpoints.a]\ntype = "stream"\nbind_as = "root"\n'
        + f'{key} = "nobody-has-this-name"\n'
    )
    daemon.start()
    assert daemon.row("a")["state"] == "failed"
    assert "next attempt" not in hint(daemon)
