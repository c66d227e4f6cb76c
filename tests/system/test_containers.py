"""Sockets into containers: real namespaces, and who is who and what is where inside and outside."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.system.conftest import (
    RUNTIME,
    SERVICE,
    SETTINGS,
    SOCKET,
    configure,
    override,
    say,
    settled,
)
from tests.system.machine import Machine, eventually

pytestmark = pytest.mark.xdist_group("machine")

STREAM = f"{RUNTIME}/stream.sock"
MOUNTED, FILE = "/run/mounted", "/run/one.sock"
BOX = "box.service"
MAPPED = "--private-users=100000:65536"  # nspawn: root inside is uid 100000 outside

Done = subprocess.CompletedProcess[str]


@contextmanager
def box(machine: Machine, prepare: str, *enter: str) -> Iterator[str]:
    """Have a process that stays in namespaces of its own; yield its pid, as it is outside.

    Args:
        machine: where.
        prepare: what it does first, for a shell.
        enter: the command that puts it there and executes the rest.
    """
    stay = f"{prepare} && exec sleep infinity"
    machine.run("systemd-run", "--quiet", "--collect", f"--unit={BOX}", *enter, "sh", "-c", stay)
    try:
        pid = machine.show(BOX, "MainPID")
        eventually(lambda: machine.run("cat", f"/proc/{pid}/comm") == "sleep", 20, "the container")
        yield pid
    finally:
        machine.run("systemctl", "stop", BOX)


@contextmanager
def mounts(machine: Machine) -> Iterator[str]:
    """Have a container with the directory of the sockets in it, and the file of one."""
    machine.run("mkdir", "-p", MOUNTED)
    machine.run("touch", FILE)
    bind = f"mount --bind {RUNTIME} {MOUNTED} && mount --bind {STREAM} {FILE}"
    with box(machine, bind, "unshare", "--mount") as pid:
        yield pid
    machine.run("rm", "-r", FILE, MOUNTED)


def inside(machine: Machine, pid: str, *words: str) -> Done:
    """Run a command in the mount and network namespaces of a process."""
    return machine.process("nsenter", "--target", pid, "--mount", "--net", *words)


def nspawn(machine: Machine, *words: str) -> Done:
    """Run a command in a container without an account of its own, or nspawn with these options."""
    unit = ["systemd-run", "--quiet", "--pipe", "--wait", "--property=Delegate=yes"]
    root = ["systemd-nspawn", "--quiet", "--pipe", "--directory=/", "--volatile=yes"]
    binds = [f"--bind={RUNTIME}:{MOUNTED}", "--bind-ro=/opt/localechod"]
    return machine.process(*unit, *root, *binds, *words)


def explained(machine: Machine, *words: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(
        machine.process("localechoctl", "explain", "--json", *words).stdout
    )
    return report


def checked(report: dict[str, Any], name: str) -> tuple[str, str]:
    found = next(each for each in report["checks"] if each["name"] == name)
    return found["result"], found["detail"]


def crash(machine: Machine) -> None:
    pid = machine.show(SERVICE, "MainPID")
    machine.run("kill", "-KILL", pid)
    eventually(lambda: machine.show(SERVICE, "MainPID") not in {pid, "0"}, 20, "another process")
    settled(machine, "active")


def restart_service(machine: Machine) -> None:
    machine.run("systemctl", "restart", SERVICE)


def restart_endpoint(machine: Machine) -> None:
    say(machine, "restart", "stream")


def reload_with_another_mode(machine: Machine) -> None:
    configure(machine, "[endpoints.stream]", "[endpoints.stream]\nbacklog = 77")
    assert "changed: stream" in say(machine, "reload")


def stop_and_start(machine: Machine) -> None:
    machine.run("systemctl", "stop", SERVICE)
    machine.run("systemctl", "start", SERVICE)


def lose_the_file(machine: Machine) -> None:
    old = machine.run("stat", "-c", "%i", STREAM)
    machine.run("rm", STREAM)
    eventually(
        lambda: machine.run("stat", "-c", "%i", STREAM, check=False) not in {"", old},
        20,
        "another file",
    )


SAME = [restart_service, crash]
ANEW = [restart_endpoint, reload_with_another_mode, stop_and_start, lose_the_file]


@pytest.mark.parametrize("happens", [*SAME, *ANEW], ids=lambda happens: happens.__name__)
def test_a_mounted_directory_shows_the_socket_there_is(service: Machine, happens: Any) -> None:
    override(service, "RestartSec=100ms")
    with mounts(service) as pid:
        happens(service)
        answer = inside(service, pid, "localechoctl", "send", f"{MOUNTED}/stream.sock", "hello")
        assert answer.stdout == "Hi, hello\n"
        report = explained(service, f"{MOUNTED}/stream.sock", "--pid", pid)
        assert report["errno"] == 0


@pytest.mark.parametrize("happens", SAME, ids=lambda happens: happens.__name__)
def test_a_mounted_file_survives_what_keeps_the_socket(service: Machine, happens: Any) -> None:
    override(service, "RestartSec=100ms")
    with mounts(service) as pid:
        happens(service)
        assert inside(service, pid, "localechoctl", "send", FILE, "hello").stdout == "Hi, hello\n"
        report = explained(service, FILE, "--pid", pid)
        assert report["errno"] == 0
        assert checked(report, "mount") == ("ok", "bind-mounted from /localechod/stream.sock")


@pytest.mark.parametrize("happens", ANEW, ids=lambda happens: happens.__name__)
def test_a_mounted_file_is_left_behind_by_a_new_one_and_the_remedy_helps(
    service: Machine, happens: Any
) -> None:
    with mounts(service) as pid:
        happens(service)
        assert say(service, "send", "stream", "hello") == "Hi, hello"
        refused = inside(service, pid, "localechoctl", "send", FILE, "hello")
        assert refused.returncode == 7
        assert "Connection refused (111)" in refused.stderr
        assert "a mount of a file that its server has removed" in refused.stderr
        report = explained(service, FILE, "--pid", pid)
        # This machine is a container itself, so there may be servers that nobody here can see.
        assert report["errno"] in {111, None}
        assert checked(report, "mount")[0] == "problem"
        assert "mount the directory instead of the file" in report["remedy"]
        assert explained(service, FILE, "--pid", pid, "--probe")["errno"] == 111
        mend = f"umount {FILE} && mount --bind {MOUNTED}/stream.sock {FILE}"
        inside(service, pid, "sh", "-c", mend).check_returncode()
        assert inside(service, pid, "localechoctl", "send", FILE, "hello").stdout == "Hi, hello\n"
        assert explained(service, FILE, "--pid", pid)["errno"] == 0


def test_a_mounted_file_of_systemds_survives_stop_and_start_of_the_service(
    service: Machine,
) -> None:
    service.run("systemctl", "stop", SERVICE)
    service.run("systemctl", "start", SOCKET)
    try:
        with mounts(service) as pid:
            for _ in range(2):
                answer = inside(service, pid, "localechoctl", "send", FILE, "hello")
                assert answer.stdout == "Hi, hello\n"
                service.run("systemctl", "stop", SERVICE)
    finally:
        service.run("systemctl", "stop", SOCKET)


# ---- who is who ----------------------------------------------------------------------------------

ALLOW = {"r": "root", "a": "alice", "g": "@team", "n": "nobody", "m": "mapped"}


@pytest.fixture
def people(service: Machine) -> Iterator[Machine]:
    """The machine with two users, and an endpoint for each kind of caller.

    One for each entry of ALLOW, `d` for datagrams of alice's, and `t`, which only its mode guards.
    """
    service.run("groupadd", "team")
    service.run("useradd", "--groups", "team", "alice")
    service.run("useradd", "--uid", "100005", "mapped")
    rows = {name: ("stream", allow) for name, allow in ALLOW.items()}
    rows["d"] = ("datagram", "alice")
    text = "\n".join(
        f'\n[endpoints.{name}]\ntype = "{kind}"\nmode = "0666"\nallow = ["{allow}"]\n'
        for name, (kind, allow) in rows.items()
    )
    text += '\n[endpoints.t]\ntype = "stream"\nmode = "0660"\nbind_as = "root"\ngroup = "team"\n'
    service.write(SETTINGS, service.run("cat", SETTINGS) + "\n" + text)
    service.run("systemctl", "restart", SERVICE)
    yield service
    for user in ("alice", "mapped"):
        service.run("userdel", user)
    service.run("groupdel", "team")


def asking(directory: str) -> list[str]:
    """Return the command that prints the names of the endpoints that answer."""
    names = " ".join([*ALLOW, "d"])
    each = f"localechoctl send --timeout 3 {directory}/$name.sock hello >/dev/null && echo $name"
    return ["sh", "-c", f"for name in {names}; do {each}; done; true"]


@pytest.mark.parametrize(
    "enter",
    [[], ["unshare", "--user"], ["unshare", "--user", "--map-root-user"]],
    ids=["outside", "unmapped", "as root"],
)
def test_who_was_outside_is_who_counts(people: Machine, enter: list[str]) -> None:
    def answers(user: str) -> list[str]:
        return people.run(*enter, *asking(RUNTIME), user=user).split()

    # Groups that are not mapped count as well: nobody can get rid of them in there.
    assert answers("alice") == ["a", "g", "d"]
    assert answers("root") == ["r"]


@pytest.mark.parametrize(
    ("options", "become", "answers"),
    [
        ([], [], ["r"]),  # no user namespace: the container's root is root
        ([MAPPED], [], []),
        ([MAPPED], ["setpriv", "--reuid=5"], ["m"]),  # its root may be whom it likes of its own ids
        ([MAPPED], ["setpriv", "--reuid=65534"], []),  # nobody inside, 165534 outside
    ],
    ids=["root", "mapped root", "another mapped user", "mapped nobody"],
)
def test_who_is_who_in_a_container(
    people: Machine, options: list[str], become: list[str], answers: list[str]
) -> None:
    asked = nspawn(people, *options, *become, *asking(MOUNTED))
    assert asked.stdout.split() == answers, asked.stderr


def test_refusals_name_the_outer_user(people: Machine) -> None:
    nspawn(people, MAPPED, "localechoctl", "send", f"{MOUNTED}/r.sock", "hello")
    events = json.loads(say(people, "events", "--json").splitlines()[-1])
    assert (events["kind"], events["endpoint"], events["uid"]) == ("refused", "r", 100000)


def test_whose_root_is_root_may_change_things_through_the_mounted_control_socket(
    service: Machine,
) -> None:
    words = ("localechoctl", "--control", f"{MOUNTED}/control.sock")
    assert nspawn(service, *words, "restart", "seed").returncode == 0
    refused = nspawn(service, MAPPED, *words, "restart", "seed")
    assert refused.returncode == 4
    assert "uid 100000 is not an administrator" in refused.stderr
    assert nspawn(service, MAPPED, *words, "status").returncode == 0


AS_ROOT = ("unshare", "--user", "--map-root-user")


def test_a_mode_counts_for_outer_ids_and_what_is_said_inside_is_not_wrong(people: Machine) -> None:
    team = f"{RUNTIME}/t.sock"
    for user, number in (("alice", 0), ("mapped", 13)):
        shown = people.run(*AS_ROOT, "stat", "-c", "%u %g %a", team, user=user)
        assert shown == "65534 65534 660"
        sent = people.process(*AS_ROOT, "localechoctl", "send", team, "hello", user=user)
        assert sent.returncode == (4 if number else 0)
        assert bool(number) == ("its owner is unknown in this user namespace" in sent.stderr)
        said = people.process(*AS_ROOT, "localechoctl", "explain", "--json", team, user=user)
        # alice's group is none that is known inside, as the file's is: it may be the same.
        assert json.loads(said.stdout)["errno"] == (13 if number else None)
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        with box(people, "true", *become, *AS_ROOT) as pid:
            assert explained(people, team, "--pid", pid)["errno"] == number


# ---- what is where -------------------------------------------------------------------------------


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
        assert explained(service, STREAM, "--pid", pid)["errno"] == 0
        refused = inside(service, pid, "localechoctl", "send", "@echo", "hello")
        assert refused.returncode == 7
        assert "nobody has bound that name in this network namespace" in refused.stderr
        assert explained(service, "@echo", "--pid", pid)["errno"] == 111
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
    assert "others, outside of this container, cannot be seen" in listing.stderr
    # In the host's network namespace it is listed, and its holder is still not seen.
    report = json.loads(nspawn(service, "localechoctl", "explain", "--json", target).stdout)
    assert report["errno"] == 0
    assert (
        checked(report, "holders")[1] == "held by no process that can be seen from this container"
    )


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
        client = ("systemd-run", "--quiet", "--collect", "--unit=client.service", "sh", "-c", talk)
        service.run(*client)
        try:
            row = eventually(
                lambda: peer(say(service, "--control", f"{other}/control.sock", "peers", "--json")),
                20,
                "the peer",
            )
        finally:
            service.run("systemctl", "stop", "client.service")
    service.run("rm", "-r", other)
    assert (row["pid"], row["uid"], row["command"]) == (0, 0, None)
