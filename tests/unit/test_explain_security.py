"""Security modules, from files like those of /sys and /proc: no machine of ours runs one."""

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localechod.explain import security, selinux
from localechod.explain.check import Check
from localechod.explain.client import of_process, of_user
from localechod.explain.facts import Question
from localechod.explain.report import Report, explain, judge
from localechod.explain.security import Security
from localechod.explain.selinux import Refusal
from tests.integration.harness import needs_root
from tests.unit.explain_fakes import client, docker, listener
from tests.unit.selinux_fakes import CLASSES, Rule, loaded

MEMBER = client(5, 50)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("_APPARMOR", "_FEATURES", "_SMACK"):
        monkeypatch.setattr(security, name, tmp_path / name)
    monkeypatch.setattr(selinux, "ROOT", tmp_path)
    return tmp_path


def test_without_a_module_no_label_is_read(modules: Path) -> None:
    assert security.inspect(os.getpid(), (1,), None) == Security("")


@pytest.mark.parametrize(
    ("file", "text", "module"),
    [
        ("enforce", "1", "SELinux"),
        ("enforce", "0", ""),  # permissive: it only writes its log
        ("_APPARMOR", "Y\n", "AppArmor"),
        ("_APPARMOR", "N\n", ""),
    ],
)
def test_an_active_module_is_named(modules: Path, file: str, text: str, module: str) -> None:
    (modules / file).write_text(text, encoding="ascii")
    assert security.inspect(os.getpid(), (os.getpid(),), None).module == module


def test_smack_is_recognized_by_its_file_system(modules: Path) -> None:
    (modules / "_SMACK").mkdir()
    assert security.inspect(os.getpid(), (), None).module == "Smack"


def test_the_label_of_a_process_that_has_ended_is_unknown() -> None:
    assert security.process_label(0) == ""


@pytest.mark.parametrize(
    ("client", "server", "profiles"),
    [
        ("unconfined", "unconfined", ()),
        ("", "", ()),
        ("unconfined", "dockerd (complain)", ()),
        ("unconfined", "dockerd (enforce)", ("dockerd",)),
        ("cupsd (enforce)", "unconfined", ("cupsd",)),
        ("docker-default (enforce)", "snap.x (kill)", ("docker-default", "snap.x")),
    ],
)
def test_profiles_of_apparmor_that_confine_a_side_are_named(
    client: str, server: str, profiles: tuple[str, ...]
) -> None:
    assert Security("AppArmor", client, (server,)).profiles == profiles


@pytest.mark.parametrize(
    ("feature", "mediates"),
    [("network/af_unix", True), ("network_v9/af_unix", True), ("network_v8/af_mask", False)],
)
def test_apparmor_without_rules_for_connect_compares_the_client_alone(
    modules: Path, feature: str, *, mediates: bool
) -> None:
    (modules / "_APPARMOR").write_text("Y\n", encoding="ascii")
    file = modules / "_FEATURES" / feature
    file.parent.mkdir(parents=True)
    file.write_text("yes\n", encoding="ascii")
    found = security.inspect(os.getpid(), (), None)
    assert found.mediates == mediates
    found = replace(found, client="unconfined", servers=("dockerd (enforce)",))
    assert found.profiles == (("dockerd",) if mediates else ())


CONFINED = Security("AppArmor", "docker-default (enforce)", ("unconfined",))


def test_a_profile_of_apparmor_is_a_reservation_with_the_command_that_shows_denials() -> None:
    report = judge(docker(MEMBER, security=CONFINED))
    assert report.verdict.text == (
        "connect should work, unless AppArmor's profile docker-default forbids it"
    )
    assert "journalctl -k -g apparmor" in report.verdict.remedy.text
    assert (report.verdict.number, report.exit_status) == (None, 6)
    several = replace(CONFINED, servers=("dockerd (enforce)",))
    report = judge(docker(MEMBER, security=several))
    assert report.verdict.text.endswith(
        "unless AppArmor's profile docker-default or dockerd forbids it"
    )


def test_a_refusal_of_a_file_comes_before_what_follows_on_the_path() -> None:
    refusals = (Refusal(b"/run", "x has no permission search on dir y"),)
    facts = docker(client(), security=Security("SELinux", "x", refusals=refusals))
    report = judge(facts)
    assert report.verdict.number == errno.EACCES
    assert report.verdict.text.endswith("/run: x has no permission search on dir y")
    names = [each.name for each in report.checks]
    assert names.index("security") < names.index("file") < names.index("permission")


CLIENT, SERVER, FILE = "u:r:client_t:s0", "u:r:server_t:s0", "u:object_r:server_run_t:s0"
OWN: list[Rule] = [
    (CLIENT, CLIENT, kind, permission)
    for kind in ("unix_stream_socket", "unix_dgram_socket")
    for permission in ("create", "connect")
]
ENTER: Rule = (CLIENT, FILE, "dir", "search")
LINK: Rule = (CLIENT, FILE, "lnk_file", "read")
WRITE: Rule = (CLIENT, FILE, "sock_file", "write")
CONNECT: Rule = (CLIENT, SERVER, "unix_stream_socket", "connectto")
SEND: Rule = (CLIENT, SERVER, "unix_dgram_socket", "sendto")
STREAM = [*OWN, ENTER, LINK, WRITE, CONNECT]


@pytest.fixture
def labelled(monkeypatch: pytest.MonkeyPatch, sockdir: Path) -> Path:
    """Give the path of a listener, through a link; with a kernel's labels of all files on it."""

    def label_of(file: bytes, *, follow: bool) -> str:
        assert follow == file.startswith(b"/proc/")
        assert file.startswith(b"/proc/") or os.path.lexists(file)
        return SERVER if follow else FILE

    monkeypatch.setattr(security, "_label_of", label_of)
    monkeypatch.setattr(security, "process_label", lambda pid: CLIENT if pid else "")
    (sockdir / "link").symlink_to("s")
    return sockdir / "link"


Ask = Callable[..., Report]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, modules: Path, labelled: Path) -> Ask:
    """Give a function that explains a socket under a policy of some rules."""

    def ask(rules: list[Rule], type_: int = socket.SOCK_STREAM, **more: Any) -> Report:
        monkeypatch.setattr(selinux, "ROOT", modules / "selinux")
        permissive = more.pop("permissive", "")
        with (
            socket.socket(socket.AF_UNIX, type_) as server,
            loaded(modules / "selinux", rules, permissive),
        ):
            server.bind(str(labelled.with_name("s")))
            if type_ != socket.SOCK_DGRAM:
                server.listen()
            client = more.pop("client", of_process(os.getpid()))
            return explain(Question(os.fsencode(labelled), None, client), **more)

    return ask


def told(report: Report) -> list[Check]:
    return [each for each in report.checks if each.name == "security"]


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        (None, ""),
        (ENTER, "has no permission search on dir"),
        (LINK, "has no permission read on lnk_file"),
        (WRITE, "has no permission write on sock_file"),
        (CONNECT, f"has no permission connectto on unix_stream_socket {SERVER}"),
        (OWN[0], f"has no permission create on unix_stream_socket {CLIENT}"),
    ],
)
def test_the_policy_of_selinux_is_asked_for_all_that_a_connect_needs(
    asked: Ask, missing: Rule | None, text: str
) -> None:
    report = asked([each for each in STREAM if each != missing])
    assert report.verdict.number == (errno.EACCES if missing else 0)
    assert text in report.verdict.text
    assert {each.result for each in told(report)} == ({"problem"} if missing else {"ok"})


@pytest.mark.parametrize("missing", [None, SEND])
def test_a_datagram_socket_needs_sendto(asked: Ask, missing: Rule | None) -> None:
    rules = [each for each in (*OWN, ENTER, LINK, WRITE, SEND) if each != missing]
    report = asked(rules, socket.SOCK_DGRAM)
    assert report.verdict.number == (errno.EACCES if missing else 0)


def test_a_permissive_domain_is_refused_nothing(asked: Ask) -> None:
    assert asked([], permissive=CLIENT).verdict.number == 0


def test_a_new_login_has_a_label_that_is_not_known(asked: Ask) -> None:
    report = asked(STREAM, client=of_user("root"))
    assert report.verdict.text == "connect should work, unless the policy of SELinux forbids it"
    assert "ausearch -m avc" in report.verdict.remedy.text


def test_a_policy_that_cannot_be_asked_or_has_no_such_class_leaves_it_open(
    asked: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLASSES, "sock_file", ("read",))
    assert asked(STREAM).verdict.number is None


@needs_root
def test_a_probe_decides_for_our_own_label_only(asked: Ask, sockdir: Path) -> None:
    silent = [each for each in STREAM if each != CONNECT]
    # The kernel here has no SELinux, so the connect works: the probe is the last word.
    assert asked(silent, probing=True).verdict.number == 0


def test_the_label_of_a_socket_is_read_from_a_process_that_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[bytes] = []

    def label_of(file: bytes, **_: object) -> str:
        read.append(file)
        return SERVER

    monkeypatch.setattr(security, "_label_of", label_of)
    with socket.socket(socket.AF_UNIX) as server:
        main = listener(inode=os.fstat(server.fileno()).st_ino)
        assert security.socket_label(main, [0, os.getpid()]) == SERVER
        assert read == [b"/proc/%d/fd/%d" % (os.getpid(), server.fileno())]
    assert security.socket_label(main, [os.getpid()]) == ""


@needs_root
def test_the_label_of_a_file_is_its_attribute(sockdir: Path) -> None:
    file = sockdir / "f"
    file.touch()
    (sockdir / "l").symlink_to("f")
    os.setxattr(file, "security.selinux", FILE.encode() + b"\0")
    assert security._file_label(os.fsencode(file)) == FILE
    assert security._file_label(os.fsencode(sockdir / "l")) == ""
