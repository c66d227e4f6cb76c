"""What the machine's errors look like on a terminal."""

import errno
import os

from hypothesis import given
from hypothesis import strategies as st

from localechod.host.text import failure, printable


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
