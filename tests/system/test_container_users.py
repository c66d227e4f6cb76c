"""Users of containers: what `allow`, `admins` and modes make of callers with mapped ids."""

import json
from collections.abc import Iterator

import pytest

from tests.system.conftest import RUNTIME, SERVICE, SETTINGS, say
from tests.system.containers import MAPPED, MOUNTED, box, explained, nspawn
from tests.system.machine import Machine

pytestmark = pytest.mark.xdist_group("machine")

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
        assert bool(number) == ("its owner is not mapped in this user namespace" in sent.stderr)
        said = people.process(*AS_ROOT, "localechoctl", "explain", "--json", team, user=user)
        # alice's group is none that is known inside, as the file's is: it may be the same.
        assert json.loads(said.stdout)["errno"] == (13 if number else None)
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        with box(people, "true", *become, *AS_ROOT) as pid:
            assert explained(people, team, "--pid", pid, "--filters")["errno"] == number
