"""Remedies for invented facts: each is tried on them before it is offered."""

import stat
from dataclasses import replace

import pytest

from localechod.explain.client import Client
from localechod.explain.facts import Facts
from localechod.explain.inode import GROUP, GROUP_OBJ, MASK, OTHER, USER, USER_OBJ, AclEntry, Node
from localechod.explain.listings import Listing
from localechod.explain.processes import HoldingProcess
from localechod.explain.remedy import Remedy
from localechod.explain.report import judge
from localechod.explain.security import Security
from localechod.explain.walk import Step
from localechod.host.procfs import IdRange
from tests.unit.explain_fakes import DISK, SYSTEMD, client, docker, link, step, walk

NO_ID = 2**32 - 1
SOCKET, DIRECTORY = stat.S_IFSOCK, stat.S_IFDIR
SERVER = HoldingProcess(812, "root", "server", "server.service")
STICKY = Node(DIRECTORY | 0o1777, 0, 0)
FOREIGN = replace(client(), is_foreign=True)


def at(end: Step, *steps: Step, who: Client | None = None, **more: object) -> Facts:
    more = {"holders": (SERVER,), "activation": None} | more
    return replace(docker(who, **more), walk=walk(*steps, end=end))  # type: ignore[arg-type]


def remedy(facts: Facts) -> Remedy:
    return judge(facts).verdict.remedy


def socket(mode: int, uid: int = 0, gid: int = 0, *entries: AclEntry) -> Step:
    return step("/run/s", SOCKET | mode, uid, gid, acl=entries or None)


def acl(*named: AclEntry, group: int, mask: int, other: int = 0) -> tuple[AclEntry, ...]:
    ends = (AclEntry(MASK, mask, NO_ID), AclEntry(OTHER, other, NO_ID))
    entries = (AclEntry(USER_OBJ, 6, NO_ID), AclEntry(GROUP_OBJ, group, NO_ID), *named, *ends)
    return tuple(sorted(entries, key=lambda entry: entry.tag))


@pytest.mark.parametrize(
    ("end", "groups", "command"),
    [
        # the class that applies is the group's, or the owner's: o+w would do nothing
        (socket(0o606, 0, 50), (50,), "setfacl -m u:games:w /run/s"),
        (socket(0o066, 5), (), "chmod u+w /run/s"),
        # in the group already, and an ACL overrules it
        (
            socket(0o640, 0, 50, *acl(group=6, mask=4)),
            (50,),
            "setfacl -m u:games:w,m::rw /run/s",
        ),
        (
            socket(0o660, 0, 50, *acl(AclEntry(USER, 4, 5), group=6, mask=6)),
            (),
            "setfacl -m u:games:rw,m::rw /run/s",
        ),
        # the group of an ACL entry helps, that of the file does not
        (
            socket(0o660, 0, 60, *acl(AclEntry(GROUP, 6, 50), group=0, mask=6)),
            (),
            "usermod -aG staff games",
        ),
        (socket(0o660, 0, 4_000_000), (), "setfacl -m u:games:w /run/s"),  # a gid without a name
        (socket(0o660, 0, 0), (), "setfacl -m u:games:w /run/s"),  # never the group of root
        (socket(0o660, 0, 6), (), "setfacl -m u:games:w /run/s"),  # disk: the ACL grants less
    ],
)
def test_the_smallest_change_that_really_helps_is_offered(
    end: Step, groups: tuple[int, ...], command: str
) -> None:
    found = remedy(at(end, who=client(5, *groups)))
    assert found.commands == (command,)


def test_root_without_its_capability_joins_no_group() -> None:
    assert remedy(at(socket(0o660, 5, 50), who=client(0))).commands == (
        "setfacl -m u:root:w /run/s",
    )


def test_everything_that_stands_in_the_way_is_removed_in_order() -> None:
    closed = step("/run/a b", DIRECTORY | 0o700)
    end = replace(socket(0o660, 0, 50), path=b"/run/a b/s", ours=b"/run/a b/s")
    found = remedy(at(end, closed))
    assert found.commands == ("setfacl -m u:games:x '/run/a b'", "usermod -aG staff games")
    assert found.text == (
        "let games enter /run/a b, by an ACL entry; add games to group staff; then log in again"
    )
    assert found.renews


def test_one_membership_for_two_obstacles_is_one_step() -> None:
    facts = at(socket(0o660, 0, 50), step("/srv", DIRECTORY | 0o750, 0, 50))
    assert remedy(facts).commands == ("usermod -aG staff games",)


def test_a_membership_that_would_shut_another_obstacle_is_not_offered() -> None:
    facts = at(socket(0o660, 0, 50), step("/srv", DIRECTORY | 0o705, 0, 50))
    assert remedy(facts).commands == ("setfacl -m u:games:w /run/s",)


def test_without_acls_the_group_gets_the_permission_and_others_last() -> None:
    end = replace(socket(0o600, 0, 50), has_acls=False)
    assert remedy(at(end, who=client(5, 50))).commands == ("chmod g+w /run/s",)
    assert remedy(at(end, who=client(5, 60))).commands == (
        "chgrp games /run/s && chmod g+w /run/s",
    )
    assert remedy(at(end)).commands == ("chmod o+w /run/s",)


def test_a_mask_that_grows_names_those_that_it_lets_in() -> None:
    named = AclEntry(USER, 6, 1)
    found = remedy(at(socket(0o640, 0, 0, *acl(named, group=4, mask=4))))
    assert "the larger ACL mask lets in user daemon too" in found.caveats


def test_the_power_of_a_group_or_a_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "a client of dockerd can become root" in remedy(docker()).caveats
    powerful = frozenset({"staff"})
    monkeypatch.setattr("localechod.explain.caveats._GROUPS_OF_SERVERS", powerful)
    found = remedy(at(socket(0o660, 0, 50)))
    assert found.caveats == ("a member of group staff can become root",)


def test_a_file_set_by_hand_is_said_to_last_until_the_next_bind() -> None:
    (caveat,) = remedy(at(socket(0o600))).caveats
    assert caveat.endswith("for good: server's own setting of the socket's mode and group")
    ours = HoldingProcess(9, "localecho", "python3", "localechod.service")
    (caveat,) = remedy(at(socket(0o600), holders=(ours,))).caveats
    assert caveat.endswith("mode and group of the endpoint in localechod.toml")
    units = docker().activation
    (caveat,) = remedy(at(socket(0o600), holders=(SYSTEMD,), activation=units)).caveats
    assert caveat.endswith("SocketMode= and SocketGroup= of docker.socket")


def test_a_command_that_is_not_installed_is_told_or_not_offered() -> None:
    found = remedy(at(socket(0o660, 0, 50), absent=frozenset(("setfacl", "usermod"))))
    assert found.commands == ("setfacl -m u:games:w /run/s",)
    assert found.caveats[0] == "setfacl is not installed here; the package is named acl"


def test_a_directory_on_tmpfs_is_said_to_be_made_anew() -> None:
    mount = replace(DISK, kind="tmpfs")
    closed = step("/run/d", DIRECTORY | 0o700, mount=mount)
    (caveat,) = remedy(at(socket(0o666), closed)).caveats
    assert "RuntimeDirectoryMode=" in caveat
    assert remedy(at(socket(0o666), replace(closed, mount=DISK))).caveats == ()


def test_the_user_of_a_container_gets_numbers_and_no_account() -> None:
    report = judge(at(socket(0o660, 0, 50), who=FOREIGN))
    found = report.verdict.remedy
    assert "--group-add 50; Kubernetes: supplementalGroups: [50]" in found.text
    assert found.commands == ("setfacl -m u:5:w /run/s",)
    assert not any(word in str(report) for word in ("staff", "games", "root root"))


def test_a_group_of_the_host_has_no_name_and_no_power_in_a_container() -> None:
    found = remedy(at(socket(0o660, 0, 6), who=FOREIGN))
    assert "--group-add 6" in found.text
    assert "disk" not in str(found)


def test_root_of_a_container_without_its_capability_can_have_a_group() -> None:
    root = replace(client(0), is_foreign=True)
    assert "--group-add 50" in remedy(at(socket(0o660, 1, 50), who=root)).text


def test_a_group_that_the_container_does_not_map_is_not_offered() -> None:
    def text(first: int) -> str:
        mapped = replace(FOREIGN, gid_map=(IdRange(0, first, 10),))
        return remedy(at(socket(0o660, 0, 50), who=mapped)).text

    assert "--group-add 7" in text(43)
    assert "--group-add" not in text(100000)


@pytest.mark.parametrize("command", ["ssh-agent", "tmux: server", "dbus-daemon"])
def test_a_server_for_one_user_is_not_opened_to_another(command: str) -> None:
    holder = HoldingProcess(9, "daemon", command, "")
    facts = at(socket(0o600, 1), step("/run/d", DIRECTORY | 0o700, 1), holders=(holder,))
    found = remedy(facts)
    assert (found.actions, found.commands) == ((), ())
    assert f"{command} (9) looks at the uid" in found.text
    assert "serves user daemon alone" in found.text
    able = replace(client(), dac_override=True)
    works = judge(replace(facts, question=replace(facts.question, client=able)))
    assert works.verdict.number == 0
    assert "looks at the uid" in works.verdict.remedy.caveats[0]


def test_the_directory_of_a_session_is_private_whatever_listens_there() -> None:
    end = replace(socket(0o666, 1), path=b"/run/user/1/bus")
    facts = at(end, step("/run/user/1", DIRECTORY | 0o700, 1), holders=())
    assert "none is offered" in remedy(facts).text


def test_a_link_that_is_not_followed_is_left_out_of_the_path() -> None:
    facts = at(socket(0o600), link("/drop/l", "/run/s", 33, STICKY), protected_links=True)
    found = remedy(facts)
    assert found.text == (
        "use the path of the link's target: /run/s; then let games write to /run/s, by an ACL entry"
    )
    assert found.commands == ()


def test_a_read_only_mount_is_the_reason_for_no_remedy() -> None:
    locked = replace(socket(0o600, 0, 50), ours=b"")
    assert remedy(at(locked)).text.startswith("none can be offered: /run/s is on a read-only")
    allowed = replace(locked, node=replace(locked.node, mode=SOCKET | 0o660))
    assert remedy(at(allowed)).commands == ("usermod -aG staff games",)


def test_a_server_that_is_missing_too_is_the_last_step_and_no_command_suffices() -> None:
    found = remedy(at(socket(0o600), listing=Listing(), holders=()))
    assert found.text == (
        "let games write to /run/s, by an ACL entry; then start the server, which replaces the file"
    )
    assert found.commands == ()


def test_the_policy_of_a_security_module_stays_a_caveat() -> None:
    found = remedy(at(socket(0o600), security=Security("SELinux", "user_t")))
    assert found.commands == ("setfacl -m u:games:w /run/s",)
    assert found.caveats[-1] == ("it should work then, unless the policy of SELinux forbids it")


def test_behind_a_directory_that_nobody_could_inspect_nothing_is_offered() -> None:
    facts = docker()
    assert facts.walk is not None
    closed = step("/closed", DIRECTORY | 0o700)
    cut = replace(facts.walk, steps=(closed,), end=None, failure="Permission denied (13)")
    found = remedy(replace(facts, walk=replace(cut, stopped_at=b"/closed/s")))
    assert found.actions == ()
    assert found.text.endswith("run explain as root, or use --probe")
