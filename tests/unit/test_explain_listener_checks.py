"""The checks of the socket, in cases that cannot be created on every machine."""

import errno
import socket
import stat
from dataclasses import replace

import pytest

from localechod.explain.check import Check
from localechod.explain.listings import Listing
from localechod.explain.liveness import Liveness, Process
from localechod.explain.mounts import Mount
from localechod.explain.report import Report, judge
from localechod.explain.sandbox import Sandbox
from localechod.explain.security import Security
from tests.unit.explain_fakes import DOCKERD, client, docker, listener, step, walk

MEMBER = client(5, 50)
DELETED = Mount(device=1, root=b"/run/a//deleted", point=b"/run/s", kind="ext4", read_only=False)


def check(report: Report, name: str) -> Check:
    return next(each for each in report.checks if each.name == name)


def test_without_a_problem_every_holder_is_named() -> None:
    report = judge(docker(MEMBER))
    assert (report.verdict.number, report.verdict.remedy.text, report.exit_status) == (0, "", 0)
    assert {each.result for each in report.checks} == {"ok"}
    assert check(report, "holders").detail == (
        "systemd (1, root, init.scope); dockerd (812, root, docker.service)"
    )
    assert check(report, "activation").detail == "docker.socket listens for docker.service"


def test_pid_1_without_a_known_unit_is_probably_activation() -> None:
    report = judge(docker(MEMBER, activation=None))
    assert "held by pid 1" in check(report, "activation").detail
    report = judge(docker(MEMBER, holders=(DOCKERD,)))
    assert "activation" not in [each.name for each in report.checks]


@pytest.mark.parametrize(
    ("unsearched", "number", "words"),
    [
        (0, errno.ECONNREFUSED, "the server ended without removing the file"),
        (2, None, "2 other network namespaces could not be searched"),
        (None, None, "other containers could not be searched"),
    ],
)
def test_an_unlisted_socket_is_dead_only_if_all_namespaces_were_searched(
    unsearched: int | None, number: int | None, words: str
) -> None:
    report = judge(docker(MEMBER, listing=Listing(unsearched=unsearched)))
    assert report.verdict.number == number
    assert words in report.verdict.text
    assert report.exit_status == (1 if number else 5)


def test_a_deleted_bind_mount_has_its_own_remedy() -> None:
    end = step("/run/s", stat.S_IFSOCK | 0o666, mount=DELETED)
    facts = replace(docker(MEMBER, listing=Listing()), walk=walk(end=end))
    report = judge(facts)
    assert report.verdict.number == errno.ECONNREFUSED
    assert report.verdict.remedy.text.startswith("mount the directory instead of the file")
    assert check(report, "mount").result == "problem"
    # While its server runs, the deleted file accepts connections like any other.
    assert judge(replace(facts, listing=Listing((listener(),)))).verdict.number == 0


def test_a_list_that_cannot_be_read_makes_the_verdict_unknown() -> None:
    report = judge(docker(MEMBER, listing=Listing(failure="Operation not permitted (1)")))
    assert report.verdict.number is None
    assert "Operation not permitted (1)" in report.verdict.text


@pytest.mark.parametrize(
    ("security", "number"),
    [
        (Security("AppArmor", "unconfined", ("unconfined",)), 0),
        (Security("AppArmor", "cupsd (enforce)", ("unconfined",)), None),
        (Security("SELinux", "user_t", ("container_t",), "container_file_t"), None),
    ],
)
def test_a_security_module_makes_success_uncertain_and_its_labels_are_shown(
    security: Security, number: int | None
) -> None:
    report = judge(docker(MEMBER, security=security))
    assert report.verdict.number == number
    detail = check(report, "security").detail
    assert all(label in detail for label in (security.client, *security.servers, security.file))


def test_a_server_that_does_not_answer_is_told_beside_a_filter_that_was_not_read() -> None:
    stopped = Liveness((Process(812, "stopped by a signal"),))
    who = replace(MEMBER, pid=77)
    report = judge(docker(who, pid=77, sandbox=Sandbox(unread=2), liveness=stopped))
    assert report.verdict.text == (
        "connect should work, unless one of 2 seccomp filters of process 77 forbids it; "
        "but nobody answers: dockerd (812) is stopped by a signal"
    )
    assert report.verdict.remedy.commands == ("kill -CONT 812",)
    assert (report.served, report.exit_status) == (False, 6)


def test_several_reservations_are_told_together() -> None:
    confined = Security("AppArmor", "docker-default (enforce)")
    who = replace(MEMBER, pid=77)
    report = judge(docker(who, pid=77, sandbox=Sandbox(unread=1), security=confined))
    assert report.verdict.text == (
        "connect should work, unless AppArmor's profile docker-default forbids it or the seccomp "
        "filter of process 77 forbids it"
    )
    assert len(report.verdict.remedy.actions) == 2
    assert report.verdict.remedy.commands == ()


def test_a_denial_by_mode_stays_certain_under_a_security_module() -> None:
    report = judge(docker(security=Security("SELinux", "user_t")))
    assert report.verdict.number == errno.EACCES


def test_a_socket_without_a_known_holder_can_be_connected_to() -> None:
    report = judge(docker(MEMBER, holders=(), unreadable=3, activation=None))
    assert report.verdict.number == 0
    holders = check(report, "holders")
    assert (holders.result, holders.detail) == (
        "unknown",
        "3 processes could not be inspected",
    )
    facts = docker(MEMBER, holders=(), activation=None)
    assert check(judge(facts), "holders").detail.startswith("no process holds it: its descriptor")
    contained = judge(replace(facts, contained=True))
    assert check(contained, "holders").detail == "no process visible in this container holds it"


def test_the_type_is_that_of_the_question_or_of_the_socket() -> None:
    assert judge(docker(MEMBER)).type == "stream"
    assert judge(docker(MEMBER, kind=socket.SOCK_DGRAM)).type == "datagram"
    assert judge(docker(MEMBER, listing=Listing())).type is None


def test_a_listener_in_another_network_namespace_is_reported_with_its_namespace() -> None:
    report = judge(docker(MEMBER, listing=Listing((listener(),), other_pid=99)))
    assert "process 99" in check(report, "namespace").detail
    assert report.verdict.number == 0
