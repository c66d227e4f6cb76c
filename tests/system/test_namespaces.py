"""What is where: sockets, names and pids over the borders of network, mount and pid namespaces."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.system.conftest import configure, say
from tests.system.containers import (
    MOUNTED,
    STREAM,
    box,
    checked,
    explained,
    inside,
    nspawn,
)
from tests.system.machine import Machine, eventually

pytestmark = pytest.mark.xdist_group("machine")


def test_a_path_leads_into_another_network_namespace_and_an_abstract_name_does_not(
    service: Machine,
) -> None:
    abstract = '[endpoints.abstract]\ntype = "stream"\npath = "@echo"\n\n'
    configure(service, "[endpoints.datagram]", f"{abstract}[endpoints.datagram]")
    say(service, "reload")
    assert say(service, "send", "@echo", "hello") == "Hi, hello"
    assert explained(service, "@echo")["errno"] == 0
    with box(service, "true", "unshare", "--net") as pid:
        sent = inside(service, pid, "localechoctl", "send", STREAM, "hello")
        assert sent.stdout == "Hi, hello\n"
        assert explained(service, STREAM, "--pid", pid, "--filters")["errno"] == 0
        refused = inside(service, pid, "localechoctl", "send", "@echo", "hello")
        assert refused.returncode == 7
        assert "no socket is bound to that name in this network namespace" in refused.stderr
        assert explained(service, "@echo", "--pid", pid, "--filters")["errno"] == 111
        said = inside(service, pid, "localechoctl", "explain", "--json", "@echo")
        assert json.loads(said.stdout)["errno"] == 111


def test_what_cannot_be_seen_from_a_container_is_unknown_and_not_missing(service: Machine) -> None:
    target = f"{MOUNTED}/stream.sock"
    closed = "--private-network"
    report = json.loads(nspawn(service, closed, "localechoctl", "explain", "--json", target).stdout)
    assert report["errno"] is None
    assert checked(report, "listener")[0] == "unknown"
    probing = ("localechoctl", "explain", "--json", "--probe", target)
    assert json.loads(nspawn(service, closed, *probing).stdout)["errno"] == 0
    listing = nspawn(service, closed, "localechoctl", "sockets", "--json")
    assert json.loads(listing.stdout) == []
    assert "network namespaces outside of this container were not searched" in listing.stderr
    # In the host's network namespace it is listed, and its holder is still not seen.
    report = json.loads(nspawn(service, "localechoctl", "explain", "--json", target).stdout)
    assert report["errno"] == 0
    assert checked(report, "holders")[1] == "no process visible in this container holds it"


@pytest.mark.parametrize(
    ("closed", "answered"),
    [
        ([], True),
        (["PrivateTmp=yes"], True),  # by an abstract name
        (["PrivateNetwork=yes"], True),  # by a path
        (["PrivateTmp=yes", "PrivateNetwork=yes"], False),
    ],
    ids=["nothing", "mounts", "network", "both"],
)
def test_a_datagram_is_answered_where_there_is_a_name_that_both_sides_know(
    service: Machine, closed: list[str], answered: bool
) -> None:
    unit = [
        "systemd-run",
        "--quiet",
        "--pipe",
        "--wait",
        *(f"--property={each}" for each in closed),
    ]
    seconds = "20" if answered else "0.5"
    sent = service.process(*unit, "localechoctl", "send", "datagram", "hello", "--timeout", seconds)
    assert (sent.stdout == "Hi, hello\n") == answered
    assert answered or "a server with another /tmp" in sent.stderr


TALK = f"(echo; sleep infinity) | socat - UNIX-CONNECT:{STREAM}"
ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@contextmanager
def unit(machine: Machine, *words: str) -> Iterator[None]:
    machine.run("systemd-run", "--quiet", "--collect", "--unit=peer.service", *words)
    try:
        yield
    finally:
        machine.run("systemctl", "stop", "peer.service")


def peer(said: str) -> dict[str, Any]:
    """Return the row of a peer that has been answered, an empty one where there is none."""
    rows: list[dict[str, Any]] = json.loads(said)
    return next((row for row in rows if row["messages"]), {})


def test_a_peer_in_a_container_has_its_outer_pid_and_no_inner_command(service: Machine) -> None:
    with unit(service, *ALONE, "sh", "-c", TALK):
        row = eventually(lambda: peer(say(service, "peers", "stream", "--json")), 20, "the peer")
        assert row["command"] == "socat"
        assert service.run("cat", f"/proc/{row['pid']}/comm") == "socat"
        # Somewhere else that pid is nobody's, or somebody else's.
        asked = nspawn(
            service, *("localechoctl", "--control", f"{MOUNTED}/control.sock", "peers", "--json")
        )
        there = peer(asked.stdout)
        assert (there["pid"], there["command"]) == (row["pid"], None)


def test_a_daemon_in_a_container_knows_no_pid_of_a_peer_outside(service: Machine) -> None:
    other = "/run/other"
    run = (*ALONE, "localechod", "--runtime-dir", other)
    talk = f"(echo hello; sleep infinity) | socat - UNIX-CONNECT:{other}/stream.sock"
    with unit(service, *run):
        say(service, "--control", f"{other}/control.sock", "wait", "--timeout", "20")
        client = ("systemd-run", "--quiet", "--collect", "--unit=talker.service", "sh", "-c", talk)
        service.run(*client)
        try:
            row = eventually(
                lambda: peer(say(service, "--control", f"{other}/control.sock", "peers", "--json")),
                20,
                "the peer",
            )
        finally:
            service.run("systemctl", "stop", "talker.service")
    service.run("rm", "-r", other)
    assert (row["pid"], row["uid"], row["command"]) == (0, 0, None)
