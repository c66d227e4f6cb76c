"""The checks of the path, in cases that cannot be created on every machine, and the remedies."""

import errno
import stat
from dataclasses import replace

import pytest

from localechod.explain.check import Check
from localechod.explain.client import Client
from localechod.explain.facts import Facts, Question
from localechod.explain.inode import Node
from localechod.explain.mounts import Mount
from localechod.explain.report import Report, judge
from localechod.explain.units import SocketUnit
from localechod.explain.walk import Walk
from tests.unit.explain_fakes import DISK, client, docker, link, missing, step, walk

STICKY = Node(stat.S_IFDIR | 0o1777, 0, 0)
NFS = Mount(device=9, root=b"/", point=b"/srv", kind="nfs4", read_only=False)


def check(report: Report, name: str) -> Check:
    return next(each for each in report.checks if each.name == name)


@pytest.mark.parametrize(
    ("owner", "parent", "protected", "number"),
    [
        (33, STICKY, True, errno.EACCES),
        (33, STICKY, False, errno.ENOENT),
        (5, STICKY, True, errno.ENOENT),  # the client's own
        (0, STICKY, True, errno.ENOENT),  # the directory's owner's
        (33, None, True, errno.ENOENT),  # not the last of its path
        (33, Node(stat.S_IFDIR | 0o777, 0, 0), True, errno.ENOENT),
    ],
)
def test_another_users_link_in_a_sticky_directory_is_not_followed(
    owner: int, parent: Node | None, number: int, *, protected: bool
) -> None:
    steps = link("/drop/l", "s", owner, parent)
    question = Question(b"/drop/l", None, client())
    facts = Facts(question, walk(steps, number=errno.ENOENT, stopped_at="/drop/s"))
    report = judge(replace(facts, protected_links=protected))
    assert report.verdict.number == number
    assert (check(report, "symlink").result == "problem") == (number == errno.EACCES)


def test_on_a_network_file_system_the_server_decides() -> None:
    for end_mount, name in ((NFS, "permission"), (DISK, "directory")):
        steps = step("/srv", stat.S_IFDIR | 0o755, mount=NFS)
        end = step("/srv/s", stat.S_IFSOCK | 0o666, mount=end_mount)
        report = judge(replace(docker(), walk=walk(steps, end=end)))
        assert (report.verdict.number, report.exit_status) == (None, 6)
        assert any(each.name == name and each.result == "unknown" for each in report.checks)
        # The server may permit what the modes forbid.
        end = step("/srv/s", stat.S_IFSOCK | 0o600, mount=NFS)
        report = judge(replace(docker(), walk=walk(steps, end=end)))
        assert (report.verdict.number, report.exit_status) == (None, 5)


def test_a_path_that_we_cannot_inspect_makes_the_verdict_unknown() -> None:
    unreadable = Walk((), stopped_at=b"/closed/\n", failure="Permission denied (13)")
    report = judge(replace(docker(), walk=unreadable))
    assert report.verdict.number is None
    assert "/closed/\\n: Permission denied (13)" in report.verdict.text


def test_a_denial_before_the_end_of_the_walk_is_certain() -> None:
    closed = step("/closed", stat.S_IFDIR | 0o700)
    unreadable = Walk((closed,), stopped_at=b"/closed/s", failure="Permission denied (13)")
    assert judge(replace(docker(), walk=unreadable)).verdict.number == errno.EACCES


@pytest.mark.parametrize("at_end", [False, True])
def test_the_type_of_a_fuse_file_system_is_escaped(*, at_end: bool) -> None:
    fuse = replace(NFS, kind="fuse.\x1b[31m")
    steps = step("/srv", stat.S_IFDIR | 0o755, mount=DISK if at_end else fuse)
    report = judge(replace(docker(), walk=walk(steps, end=step("/srv/s", 0o140666, mount=fuse))))
    assert "fuse.\\x1b[31m" in report.verdict.text


@pytest.mark.parametrize(
    ("who", "remedy"),
    [
        (client(), "add games to group staff; then log in again"),
        (
            client(login_groups=(50,)),
            "the account database has games in group staff already: log in again",
        ),
    ],
)
def test_the_remedy_for_a_missing_group(who: Client, remedy: str) -> None:
    report = judge(docker(who))
    assert report.verdict.number == errno.EACCES
    assert report.verdict.remedy.text == remedy


@pytest.mark.parametrize(("mode", "gid"), [(0o600, 50), (0o660, 0)])
def test_without_a_suitable_group_the_remedy_is_an_acl(mode: int, gid: int) -> None:
    end = step("/run/a b", stat.S_IFSOCK | mode, 0, gid)
    report = judge(replace(docker(), walk=walk(end=end)))
    assert report.verdict.remedy.text == "let games write to /run/a b, by an ACL entry"
    assert report.verdict.remedy.commands == ("setfacl -m u:games:w '/run/a b'",)


def test_the_remedy_for_a_missing_socket_of_a_unit_starts_the_unit() -> None:
    unit = SocketUnit("docker.socket", "docker.service", active=False)
    report = judge(missing(unit))
    assert report.verdict.remedy.text == "start docker.socket, which listens there"
    assert report.verdict.remedy.commands == ("systemctl start docker.socket",)
    assert judge(missing()).verdict.remedy.text.startswith("start the server, or find out where")


def test_a_relative_path_is_reported_as_relative() -> None:
    facts = replace(docker(), question=Question(b"x/s", None, client(0)))
    assert "relative" in judge(facts).checks[0].detail
