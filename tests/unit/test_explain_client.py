"""The credentials of clients, read from real processes and accounts."""

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from localechod.errors import LocalechodError, NotPermittedError, UsageError
from localechod.explain import client
from localechod.explain.client import of_process, of_user
from tests.integration.harness import needs_root


def test_our_own_process_has_the_credentials_that_the_kernel_reports() -> None:
    found = of_process(os.getpid())
    assert (found.uid, found.pid) == (os.geteuid(), os.getpid())
    assert found.groups == {os.getegid(), *os.getgroups()}
    assert found.is_mapped(os.geteuid(), os.getegid())
    assert found.name == pwd.getpwuid(os.geteuid()).pw_name


@needs_root
def test_another_process_has_the_groups_that_it_was_started_with() -> None:
    words = ["setpriv", "--reuid=5", "--regid=60", "--groups=50", "sleep", "60"]
    with subprocess.Popen(words) as process:
        while (Path(f"/proc/{process.pid}/comm")).read_text(encoding="ascii") != "sleep\n":
            os.sched_yield()
        found = of_process(process.pid)
        process.kill()
    assert found.uid == 5
    assert found.groups == {50, 60}
    assert (found.dac_override, found.dac_read_search) == (False, False)
    assert found.login_groups == set(os.getgrouplist("games", 60))


def test_a_user_has_the_groups_of_their_next_login() -> None:
    found = of_user("games")
    account = pwd.getpwnam("games")
    assert found == of_user(str(account.pw_uid))
    assert found.groups == found.login_groups == set(os.getgrouplist("games", account.pw_gid))
    assert (found.dac_override, found.pid) == (False, None)


@needs_root
def test_root_has_its_capabilities() -> None:
    assert of_user("root").dac_override
    assert of_user("0").dac_read_search


def test_a_uid_without_an_account_has_no_login_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    assert client._login_groups(4_000_000_000) == frozenset()


@pytest.mark.parametrize(
    "text", ["nosuch", "4294967295", "99999999999999999999", "5:", "5:x", "a\0b", "\n"]
)
def test_an_unknown_user_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="no such user"):
        of_user(text)


@pytest.mark.parametrize(
    ("text", "groups"), [("4000000000", frozenset()), ("5:60,50", frozenset((60, 50)))]
)
def test_a_uid_with_groups_needs_no_account_and_is_shown_as_a_number(
    text: str, groups: frozenset[int]
) -> None:
    found = of_user(text)
    assert (found.groups, found.login_groups, found.is_foreign) == (groups, frozenset(), True)
    assert (found.name, found.group_name(0)) == (str(found.uid), "0")


def test_a_process_that_has_ended_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no such process: 4194304"):
        of_process(1 << 22)


def test_without_proc_the_error_is_that_it_is_not_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> bytes:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_bytes", missing)
    with pytest.raises(LocalechodError, match="/proc is not mounted"):
        of_process(os.getpid())


def test_a_process_that_is_hidden_is_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(*_: object) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", hidden)
    with pytest.raises(NotPermittedError, match="inspecting process 1 failed"):
        of_process(1)


MAPS = {"1": b"0 100000 65536\n65536 5 1\n", "2": b"0 7 9\n", "self": b"0 7 9\n"}


@pytest.fixture
def confined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that we and process 2 are in a user namespace, and process 1 in a nested one."""

    def read_bytes(path: Path) -> bytes:
        return b"65533\n" if path.name.startswith("overflow") else MAPS[path.parent.name]

    monkeypatch.setattr(Path, "read_bytes", read_bytes)


@pytest.mark.usefixtures("confined")
def test_ids_of_another_user_namespace_are_translated_to_ours() -> None:
    assert client._mapped_ids(1, "uid_map") == (range(100000, 165536), range(5, 6))


@pytest.mark.usefixtures("confined")
@pytest.mark.parametrize("process", ["self", 2])
def test_ids_of_our_own_user_namespace_are_not_translated(process: int | str) -> None:
    assert client._mapped_ids(process, "uid_map") == (range(9),)


@pytest.mark.usefixtures("confined")
def test_unmapped_ids_have_the_overflow_ids() -> None:
    assert client._overflow_ids() == (65533, 65533)


def test_a_user_namespace_that_maps_all_ids_has_no_overflow_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"0 0 4294967295\n")
    assert client._overflow_ids() is None
