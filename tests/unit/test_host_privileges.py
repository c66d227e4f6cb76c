"""The drop from root is whole, and half of one does not pass for it."""

import dataclasses
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import localechod
from localechod.errors import ConfigError, NotPermittedError
from localechod.host import privileges
from localechod.host.privileges import Identity, complaints, resolve
from localechod.host.procfs import parse_status
from tests.integration.harness import NEEDS_ROOT, needs_root

WHO = Identity("echo", 998, 997, frozenset({997, 44}))
STATUS = """\
Name:\tlocalechod
State:\tS (sleeping)
Uid:\t998\t998\t998\t998
Gid:\t997\t997\t997\t997
Groups:\t44 997 
NoNewPrivs:\t1
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t0000000000000000
CapAmb:\t0000000000000000
"""  # noqa: W291 - as the kernel prints it
DECISIVE = (
    "Uid", "Gid", "Groups", "NoNewPrivs", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
)  # fmt: skip


def test_a_whole_drop_leaves_nothing_to_complain_about() -> None:
    assert complaints(parse_status(STATUS), WHO) == []


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("Uid", "0\t0\t0\t0", "Uid is 0 0 0 0 instead of 998"),
        ("Uid", "998\t998\t0\t998", "Uid is 998 998 0 998 instead of 998"),
        ("Uid", "998\t998\t998\t0", "Uid is 998 998 998 0 instead of 998"),
        ("Gid", "0\t0\t0\t0", "Gid is 0 0 0 0 instead of 997"),
        ("Gid", "997\t997\t0\t997", "Gid is 997 997 0 997 instead of 997"),
        ("Groups", "0", "Groups is 0 instead of 44 997"),
        ("Groups", "0 44 997", "Groups is 0 44 997 instead of 44 997"),
        ("Groups", "", "Groups is empty instead of 44 997"),
        ("CapInh", "0000000000000400", "the inheritable capability set is 0000000000000400"),
        ("CapPrm", "000001ffffffffff", "the permitted capability set is 000001ffffffffff"),
        ("CapEff", "0000000000000080", "the effective capability set is 0000000000000080"),
        ("CapBnd", "000001ffffffffff", "the bounding capability set is 000001ffffffffff"),
        ("CapAmb", "0000000000000001", "the ambient capability set is 0000000000000001"),
        ("CapEff", "", "the effective capability set is empty"),
        ("NoNewPrivs", "0", "NoNewPrivs is 0 instead of 1"),
    ],
)
def test_each_half_of_a_drop_is_named_with_its_value(
    field: str, value: str, complaint: str
) -> None:
    assert complaints(parse_status(STATUS) | {field: value}, WHO) == [complaint]


@pytest.mark.parametrize("field", DECISIVE)
def test_what_the_kernel_does_not_tell_is_not_proven(field: str) -> None:
    fields = parse_status(STATUS)
    del fields[field]
    assert len(complaints(fields, WHO)) == 1
    assert "unknown" in complaints(fields, WHO)[0]


@given(st.sampled_from(DECISIVE), st.text(alphabet="0123456789abcdef \t", max_size=24))
def test_any_other_value_is_a_complaint(field: str, value: str) -> None:
    fields = parse_status(STATUS)
    value = value.strip()  # as parse_status() hands it over
    same = sorted(value.split()) == sorted(fields[field].split())
    zero = field.startswith("Cap") and set(value) == {"0"}
    assert bool(complaints(fields | {field: value}, WHO)) == (not same and not zero)


def test_an_account_is_found_by_name_and_by_number() -> None:
    nobody = pwd.getpwnam("nobody")
    found = resolve("nobody", "nogroup")
    assert (found.user, found.uid) == ("nobody", nobody.pw_uid)
    assert found.gid in found.groups
    assert resolve(str(nobody.pw_uid), str(found.gid)) == found


def test_the_configured_group_replaces_the_accounts_own() -> None:
    found = resolve("nobody", "daemon")
    assert (found.gid, found.groups) == (1, frozenset({1}))


@pytest.mark.parametrize("name", ["no-such-user", "a\0b", "", "\udcff"])
def test_an_unknown_user_comes_with_the_remedy(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^unknown user ") as caught:
        resolve(name, "nogroup")
    assert caught.value.exit_status == 78
    assert "systemd-sysusers" in caught.value.hint
    assert "useradd --system --no-create-home --shell /usr/sbin/nologin" in caught.value.hint
    assert str(caught.value).isprintable()


def test_an_unknown_group_comes_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r'^unknown group "no-such-group"') as caught:
        resolve("nobody", "no-such-group")
    assert "groupadd --system no-such-group" in caught.value.hint


def test_a_number_nobody_has_is_not_offered_to_useradd() -> None:
    with pytest.raises(ConfigError, match=r'^unknown user "3999999999"; name an existing one'):
        resolve("3999999999", "nogroup")


@pytest.mark.parametrize("user", ["root", "0"])
def test_the_service_never_serves_as_root(user: str) -> None:
    with pytest.raises(ConfigError, match="never serves as root"):
        resolve(user, "nogroup")


def test_the_service_never_serves_with_group_root() -> None:
    with pytest.raises(ConfigError, match="group root"):
        resolve("nobody", "root")


# What follows happens in processes of its own, for there is no way back.

PRELUDE = """
import ctypes, os, sys, threading
from localechod.errors import NotPermittedError
from localechod.host.privileges import Identity, drop, prove
libc = ctypes.CDLL(None)
who = Identity("nobody", 65534, 65534, frozenset({65534, 33}))
def attempt(step):
    try:
        step(who)
    except NotPermittedError as error:
        print("REFUSED", error)
"""


def in_a_process(body: str) -> str:
    script = PRELUDE + body
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(localechod.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


SHOW = 'print(open("/proc/self/status").read())\n'


@needs_root
def test_after_the_drop_the_kernel_knows_nothing_of_root() -> None:
    who = Identity("nobody", 65534, 65534, frozenset({65534, 33}))
    fields = parse_status(in_a_process("drop(who)\n" + SHOW))
    assert complaints(fields, who) == []
    assert fields["Uid"] == "65534\t65534\t65534\t65534"
    assert fields["Groups"] == "33 65534"


@pytest.mark.parametrize(
    "start", ["", "os.setresuid(65534, 65534, 65534)\nlibc.prctl(4, 1, 0, 0, 0)\n"]
)
def test_sealed_nobody_else_may_look_into_the_process_not_even_unprivileged(start: str) -> None:
    if start and os.geteuid() != 0:
        pytest.skip(NEEDS_ROOT)
    told = in_a_process(
        "from localechod.host.privileges import seal\n"
        f"{start}"
        "before = libc.prctl(3, 0, 0, 0, 0)\n"
        "seal()\n"
        "print(before, libc.prctl(3, 0, 0, 0, 0), os.stat('/proc/self/environ').st_uid)\n"
    )
    assert told == "1 0 0\n"


@needs_root
def test_a_process_that_is_dumpable_again_is_refused() -> None:
    told = in_a_process("drop(who)\nlibc.prctl(4, 1, 0, 0, 0)\nattempt(prove)\n")
    assert told.startswith("REFUSED privilege drop failed: the dumpable flag is 1 instead of 0")


@needs_root
def test_capabilities_kept_on_purpose_before_the_drop_are_gone_after_it() -> None:
    # PR_SET_KEEPCAPS makes setresuid leave the permitted set; the inheritable one always stays.
    told = in_a_process(
        "libc.prctl(8, 1, 0, 0, 0)\n"
        "header = (ctypes.c_uint32 * 2)(0x20080522, 0)\n"
        "sets = (ctypes.c_uint32 * 6)()\n"
        "libc.capget(header, sets)\n"
        "sets[2] = 1\n"
        "assert libc.capset(header, sets) == 0\n"
        "assert libc.prctl(47, 2, 0, 0, 0) == 0\n"  # raise CAP_CHOWN in the ambient set
        "before = open('/proc/self/status').read()\n"
        "assert 'CapInh:\\t0000000000000001' in before and 'CapAmb:\\t0000000000000001' in before\n"
        "drop(who)\n" + SHOW
    )
    assert complaints(parse_status(told), dataclasses.replace(WHO, uid=65534, gid=65534)) == [
        "Groups is 33 65534 instead of 44 997"
    ]


@needs_root
def test_python_daemons_own_drop_is_refused_because_the_gid_stays_roots() -> None:
    told = in_a_process(
        "from daemon import DaemonContext\n"
        "DaemonContext(uid=65534, gid=65534, initgroups=True, detach_process=False,\n"
        "    stdout=sys.stdout, stderr=sys.stderr, signal_map={}).open()\n"
        "attempt(prove)\n"
    )
    assert told.startswith("REFUSED privilege drop failed: thread ")
    assert "Gid is 0 0 0 0 instead of 65534" in told


@needs_root
def test_a_drop_that_root_can_be_had_back_from_is_refused() -> None:
    told = in_a_process("os.setresuid(65534, 65534, 0)\nattempt(prove)\nprint(os.geteuid())\n")
    assert "Uid is 65534 65534 0 65534 instead of 65534" in told
    assert "setresuid(0, 0, 0) succeeded" in told


@needs_root
def test_a_thread_that_kept_its_bounding_set_is_found() -> None:
    told = in_a_process(
        "end = threading.Event()\n"
        "thread = threading.Thread(target=end.wait)\n"
        "thread.start()\n"
        "attempt(drop)\n"
        "print('other', thread.native_id)\n"
        "end.set()\n"
    )
    other = told.rpartition("other ")[2].strip()
    assert f"thread {other}: the bounding capability set is" in told
    assert f"thread {other}: NoNewPrivs is 0 instead of 1" in told


# A container's root without CAP_SETUID and CAP_SETGID, whose bounding set is empty already.
WITHOUT_CAPABILITIES = """
for number in range(64):
    libc.prctl(24, number, 0, 0, 0)
libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
"""


@needs_root
@pytest.mark.parametrize(
    ("taken_away", "refused"),
    [
        ("os.setresuid(65534, 65534, 65534)", "emptying the capability bounding set"),
        (WITHOUT_CAPABILITIES, "becoming nobody"),
    ],
)
def test_a_step_that_the_kernel_refuses_is_named(taken_away: str, refused: str) -> None:
    told = in_a_process(f"{taken_away}\nattempt(drop)\n")
    assert told.startswith(f"REFUSED {refused} failed: Operation not permitted (1); start local")
    assert "CAP_SETPCAP" in told


def test_refused_system_calls_are_errors_with_their_errno(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def capset(self, *_: object) -> int:
            return -1

    monkeypatch.setattr(privileges, "_libc", Refusing())
    with pytest.raises(NotPermittedError, match=r"^capset failed: "):
        privileges._clear_capabilities()
