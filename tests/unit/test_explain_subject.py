"""Whose rights count, read from real processes and accounts."""

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from localechod.errors import NotPermittedError, UsageError
from localechod.explain import subject
from localechod.explain.subject import of_process, of_user

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which takes root")


def test_our_own_process_is_what_the_kernel_says_of_it() -> None:
    found = of_process(os.getpid())
    assert (found.uid, found.pid) == (os.geteuid(), os.getpid())
    assert found.groups == {os.getegid(), *os.getgroups()}
    assert found.is_known(os.geteuid(), os.getegid())
    assert found.name == pwd.getpwuid(os.geteuid()).pw_name


@root_only
def test_another_process_has_the_groups_that_it_was_given() -> None:
    words = ["setpriv", "--reuid=5", "--regid=60", "--groups=50", "sleep", "60"]
    with subprocess.Popen(words) as process:
        while (Path(f"/proc/{process.pid}/comm")).read_text(encoding="ascii") != "sleep\n":
            os.sched_yield()
        found = of_process(process.pid)
        process.kill()
    assert found.uid == 5
    assert found.groups == {50, 60}
    assert (found.override, found.search) == (False, False)
    assert found.listed == set(os.getgrouplist("games", 60))


def test_a_user_is_what_his_next_login_will_be() -> None:
    found = of_user("games")
    account = pwd.getpwnam("games")
    assert found == of_user(str(account.pw_uid))
    assert found.groups == found.listed == set(os.getgrouplist("games", account.pw_gid))
    assert (found.override, found.pid) == (False, None)


@root_only
def test_root_has_its_capabilities() -> None:
    assert of_user("root").override
    assert of_user("0").search


def test_a_user_without_a_name_or_account_is_his_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert subject._listed(4_000_000_000) == frozenset()


@pytest.mark.parametrize("text", ["nosuch", "4000000000", "99999999999999999999", "a\0b", "\n"])
def test_an_unknown_user_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="no such user"):
        of_user(text)


def test_a_process_that_is_gone_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="there is no process 4194304"):
        of_process(1 << 22)


def test_a_process_that_is_hidden_is_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(*_: object) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", hidden)
    with pytest.raises(NotPermittedError, match="process 1 may not be looked at"):
        of_process(1)


def test_ids_of_another_user_namespace_are_told_in_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"0 100000 65536\n65536 5 1\n")
    assert subject._mapped(1, "uid_map") == (range(100000, 165536), range(5, 6))
    assert subject._mapped("self", "uid_map") == (range(65536), range(65536, 65537))
