"""Text from outside on a terminal: names, paths, errors."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.text import escape, failure, printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"/run/a.sock", "/run/a.sock"),
        (b"\0name", "@name"),
        (b"\0a\0b", r"@a\x00b"),
        (b"@relative", r"\x40relative"),
        (b"", ""),
        (b"/x/\x1b[31m\n\r\t\\", r"/x/\x1b[31m\n\r\t\\"),
        (b"/x/\xff", r"/x/\xff"),
        ("/x/é中".encode(), "/x/é中"),
        ("/x/\u2028\u202e\u0085".encode(), r"/x/\xe2\x80\xa8\xe2\x80\xae\xc2\x85"),
        ("@typed", "@typed"),
        ("\0typed", "@typed"),
        ("\udcff \ud800", r"\xff \xed\xa0\x80"),
    ],
)
def test_escape_shows_names_as_a_person_would_write_them(name: bytes | str, shown: str) -> None:
    assert escape(name) == shown


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_escape_gives_one_printable_line_whatever_the_name(name: bytes | str) -> None:
    assert escape(name).isprintable()


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_two_names_never_look_alike(one: bytes, other: bytes) -> None:
    assert (escape(one) == escape(other)) == (one == other)


def test_ordinary_text_in_any_language_stays_as_it_is() -> None:
    assert printable("/run/écho/本地 socket") == "/run/écho/本地 socket"


def test_control_characters_and_stray_bytes_become_visible() -> None:
    assert printable("a\nb\x1b[2J" + os.fsdecode(b"\xff")) == r"a\nb\x1b[2J\xff"


@given(st.text())
def test_no_text_at_all_can_leave_its_line(text: str) -> None:
    assert printable(text).isprintable()


def test_a_failure_reads_as_a_c_program_says_it() -> None:
    assert failure("open", errno.ENOENT) == "open failed: No such file or directory (2)"
    assert failure("mkdir", errno.EACCES, "/a\tb") == r"mkdir failed: Permission denied (13): /a\tb"
