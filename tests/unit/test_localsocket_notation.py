"""Names of sockets as people paste them, and as our own commands print them."""

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.errors import UsageError
from localechod.localsocket.notation import is_address, read
from localechod.text import escape, unescape

SUN_PATH = st.binary(min_size=1, max_size=107)

FORMS = [
    ("/run/x", b"/run/x"),
    ("./x", b"./x"),
    ("a/x", b"a/x"),
    ("@x", b"\0x"),
    (r"@x\x00\x00", b"\0x\0\0"),
    (r"@x\ny\\", b"\0x\ny\\"),
    (r"\x40x", b"./@x"),
    (r"/run/dev\x2dsda.sock", rb"/run/dev\x2dsda.sock"),  # systemd's, which `escape` never prints
    ("/run/\udcff", b"/run/\xff"),
    ("unix:///run/x", b"/run/x"),
    ("unix:/run/x", b"/run/x"),
    ("unix:x", b"./x"),
    ("unix:stream", b"./stream"),
    ("unix:@x", b"\0x"),
    ("unix://run/x", b"run/x"),  # one "/" too few: Docker takes it for a relative path
    ("unix:///run/a%20b", b"/run/a b"),
    ("unix:///run/x?db=1", b"/run/x"),
    ("unix://user:secret@/run/x", b"/run/x"),
    ("redis+unix:///run/x", b"/run/x"),
    ("http+unix://%2Frun%2Fx/v1/info", b"/run/x"),
    ("unix:path=/run/bus,guid=00ff", b"/run/bus"),
    ("unix:guid=00ff,path=/run/bus", b"/run/bus"),
    ("unix:path=/run/a%2cb%00", b"/run/a,b\0"),
    ("unix:abstract=/tmp/dbus-x,guid=00ff", b"\0/tmp/dbus-x"),
    ("unix:abstract=a%5cb", b"\0a\\b"),
    ("unix-abstract:x", b"\0x"),
    ("abstract:x%00", b"\0x\0"),
    ("unix-connect:/run/x", b"/run/x"),
    ("UNIX-CONNECT:/run/x,retry=3", b"/run/x"),
    ("UNIX-LISTEN:x,fork", b"./x"),
    ("ABSTRACT-CONNECT:x", b"\0x"),
    ("UNIX:/run/x", b"/run/x"),
    ("postgresql:///?host=/run/postgresql", b"/run/postgresql/.s.PGSQL.5432"),
    ("postgresql:///db?port=5433&host=/run/postgresql", b"/run/postgresql/.s.PGSQL.5433"),
    ("postgres://me@%2Frun%2Fpg:6432/db", b"/run/pg/.s.PGSQL.6432"),
]


@pytest.mark.parametrize(("text", "raw"), FORMS, ids=[ascii(text) for text, _ in FORMS])
def test_a_pasted_form_is_understood(text: str, raw: bytes) -> None:
    assert is_address(text)
    assert read(text).raw == raw


@pytest.mark.parametrize(
    "name", ["stream", "unix", "abstract", "x.sock", "unix-connect", "A-1_b.c"]
)
def test_an_endpoints_name_is_no_address(name: str) -> None:
    assert not is_address(name)


@given(st.from_regex(re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII), fullmatch=True))
def test_no_name_of_an_endpoint_is_an_address(name: str) -> None:
    assert not is_address(name)


@given(SUN_PATH.map(lambda name: b"\0" + name) | SUN_PATH.filter(lambda name: b"\0" not in name))
def test_every_printed_name_is_read_back(name: bytes) -> None:
    assert unescape(escape(name)) == name
    if name.startswith(b"\0") or b"/" in name:
        assert is_address(escape(name))
        assert read(escape(name)).raw == name


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(UsageError):
        name = read(text)
        assert name.raw.startswith(b"\0") or b"/" in name.raw
        assert name.remark.isprintable()


@pytest.mark.parametrize(
    ("text", "raw", "remark"),
    [
        ("unix:path=/run/bus;unix:path=/run/other", b"/run/bus", "address 1 of 2: /run/bus"),
        ("tcp:host=localhost,port=1;unix:abstract=x;", b"\0x", "address 2 of 2: @x"),
        ("autolaunch:;unix:tmpdir=/tmp;unix:path=/a%0a", b"/a\n", r"address 3 of 3: /a\n"),
    ],
)
def test_of_a_list_the_first_local_socket_is_meant_and_named(
    text: str, raw: bytes, remark: str
) -> None:
    assert (read(text).raw, read(text).remark) == (raw, remark)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the address is empty; give a path, @NAME, or an endpoint's name"),
        ("@", "address @: the abstract name is empty"),
        ("unix:", "the address is empty"),
        ("unix-abstract:", "abstract name is empty"),
        ("unix:path=", "the address is empty"),
        ("/x\0y", "cannot contain a NUL byte"),
        ("postgresql://db.example/x", "names no local socket; host= must be a directory"),
        ("/x/\ud800", "not a name in this locale's encoding"),
    ],
)
def test_a_form_without_a_socket_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        read(text)


def test_of_two_readings_the_one_that_exists_is_meant(sockdir: Path) -> None:
    text = f"{sockdir}/a\\nb"
    printed, literal = os.fsencode(f"{sockdir}/a\nb"), os.fsencode(text)
    assert read(text).raw == printed
    Path(os.fsdecode(literal)).touch()
    assert read(text).raw == literal
    Path(os.fsdecode(printed)).touch()
    assert read(text).raw == printed
    (sockdir / "100%25").touch()
    assert read(f"unix://{sockdir}/100%25").raw == os.fsencode(sockdir / "100%25")


def test_every_name_in_the_table_of_the_page_is_what_it_says() -> None:
    page = (Path(__file__).parents[2] / "docs/explain.md").read_text("utf-8")
    table = page.partition("| written | is |\n|---|---|\n")[2].partition("\n\n")[0]
    checked = 0
    for row in table.splitlines():
        names, _, meaning = row.strip("| ").rpartition(" | ")
        for name in re.findall(r"`([^`]+)`", names):
            raw = read(name).raw
            abstract = "abstract" in name.lower() or "@" in name
            assert raw.startswith(b"\0") == abstract, name
            expected = re.findall(r"^`(/[^`]+)`", meaning)
            assert not expected or raw == expected[0].encode()
            checked += 1
    assert checked >= 15
