"""Which process has to be started anew to get a group, for invented families and a real one."""

import os

import pytest

from localechod.explain import ancestry
from localechod.explain.ancestry import Relative

CREW, ALICE = 50, 1000
INIT = Relative(1, "systemd", 0, frozenset({0}), "init.scope")


def alice(
    pid: int, command: str, *groups: int, unit: str = "session-3.scope", manager: bool = False
) -> Relative:
    return Relative(pid, command, ALICE, frozenset({ALICE, *groups}), unit, manager=manager)


def roots(pid: int, command: str, unit: str = "session-3.scope") -> Relative:
    return Relative(pid, command, 0, frozenset({0}), unit)


BASH = alice(70, "bash")
MANAGER = alice(50, "systemd", unit="init.scope", manager=True)
TERMINAL = alice(60, "gnome-terminal-", unit="app.scope", manager=True)


@pytest.mark.parametrize(
    ("family", "says"),
    [
        ((), "log in again"),
        ((BASH, roots(9, "sshd"), INIT), "log in again, because sshd (9) started bash (70)"),
        (
            (BASH, alice(60, "tmux: server"), INIT),
            "log in again, and restart tmux: server (60) from there",
        ),
        # the server was started in a session, and adopted by a manager that has the group
        (
            (BASH, alice(60, "tmux: server"), alice(50, "systemd", CREW, manager=True), INIT),
            "log in again, and restart tmux: server (60) from there",
        ),
        ((TERMINAL, MANAGER, INIT), "restart systemd (50), the user's service manager"),
        ((BASH, TERMINAL, MANAGER, INIT), "restart systemd (50), the user's service manager"),
        (
            (BASH, alice(60, "sh", CREW), roots(9, "sshd")),
            "restart bash (70): sh (60), its parent, has group crew",
        ),
        (
            (BASH, alice(60, "bash"), roots(9, "supervisord"), INIT),
            "restart bash (60) from a new login, because it lacks group crew",
        ),
        ((alice(70, "nginx", unit="nginx.service"), INIT), "restart nginx.service"),
        # without pam_systemd
        (
            (alice(70, "bash", unit="ssh.service"), roots(9, "sshd", "ssh.service"), INIT),
            "log in again, because sshd (9) started bash (70)",
        ),
    ],
)
def test_the_process_that_must_be_restarted_is_named(
    family: tuple[Relative, ...], says: str
) -> None:
    action = ancestry.renewal(family, CREW, "crew")
    assert action.renews
    assert action.text.startswith(says)


def test_a_service_is_restarted_by_a_command() -> None:
    action = ancestry.renewal((alice(70, "x", unit=r"a\x2db.service"), INIT), CREW, "crew")
    assert action.command == r"systemctl restart 'a\x2db.service'"


def test_the_family_of_a_process_is_read_up_to_the_first() -> None:
    family = ancestry.of_process(os.getpid())
    assert [each.pid for each in family[:2]] == [os.getpid(), os.getppid()]
    assert family[0].uid == os.geteuid()
    assert family[0].groups == {os.getegid(), *os.getgroups()}
    assert family[-1].pid == 1 or family[-1].pid > 0
