"""Words for a shell: bash takes each for the bytes that it stands for."""

import subprocess

import pytest

from localechod.explain import shell

NAMES = [
    b"/run/a.sock",
    b"/run/a b",
    b"it's",
    b"a\nb\x1b[31m",
    b"\xff\xfe'\\",
    "Straße".encode(),
    b"$(id)`x`",
    b"\x071",
    b"",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_back_the_same_bytes(name: bytes) -> None:
    quoted = shell.word(name)
    assert quoted.isprintable()
    ran = subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True)
    assert ran.stdout == name


def test_odd_bytes_are_ansi_c_and_others_as_shlex_quotes_them() -> None:
    assert shell.word(b"/a\nb\xff") == r"$'/a\012b\377'"
    assert shell.word("/a b") == "'/a b'"
    assert shell.word("/a") == "/a"


def test_a_relative_path_is_no_option() -> None:
    assert shell.path(b"-R") == "./-R"
    assert shell.path(b"/-R") == "/-R"


def test_an_account_name_for_an_acl_has_no_character_with_a_meaning() -> None:
    assert [shell.is_plain(name) for name in ("alice", "_x-1$", "a:b", "a,b", "1a", "a b")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
