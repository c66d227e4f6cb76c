"""Names of local sockets: what is refused and why, and that nothing escapes `escape`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.errors import UsageError
from localechod.localsocket.address import Address, escape


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


def test_a_path_keeps_its_bytes() -> None:
    address = Address.parse("/x/\udcff.sock")
    assert address.raw == address.sockaddr == b"/x/\xff.sock"
    assert address.path == "/x/\udcff.sock"
    assert not address.is_abstract
    assert str(address) == r"/x/\xff.sock"


def test_an_abstract_name_has_no_path() -> None:
    address = Address.parse("@name")
    assert address.raw == address.sockaddr == b"\0name"
    assert address.path == ""
    assert address.is_abstract
    assert str(address) == "@name"


@pytest.mark.parametrize("text", ["/" + "a" * 106, "@" + "a" * 107, "/" + "é" * 53])
def test_the_longest_names_are_taken(text: str) -> None:
    assert len(Address.parse(text).raw) in {107, 108}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the address is empty; give an absolute path or @name"),
        ("@", "abstract name is empty"),
        ("a.sock", "address a.sock: the path is relative"),
        ("./a\n.sock", r"address ./a\n.sock: the path is relative"),
        ("/x/a\0b", r"address /x/a\x00b: a name cannot contain a NUL byte"),
        ("@a\0", "NUL"),
        ("/", "names a directory"),
        ("/x/", "names a directory"),
        ("/x/..", "names a directory"),
        ("/x/.", "names a directory"),
        ("/" + "a" * 107, "108 bytes, and a socket's path has room for 107"),
        ("/" + "é" * 54, "109 bytes"),
        ("@" + "a" * 108, "109 bytes with the leading NUL, and a socket's name has room for 108"),
        ("/x/\ud800", r"address /x/\xed\xa0\x80: not a name in this locale's encoding"),
    ],
)
def test_what_no_socket_can_be_called_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(text)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()
    assert caught.value.exit_status == 2
