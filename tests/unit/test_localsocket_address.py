"""Addresses of local sockets: what is refused, and why."""

import pytest

from localechod.errors import UsageError
from localechod.localsocket.address import Address


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
def test_the_longest_names_are_accepted(text: str) -> None:
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
        ("/" + "a" * 107, "108 bytes; the limit for a socket's path is 107"),
        ("/" + "é" * 54, "109 bytes"),
        ("@" + "a" * 108, "109 bytes with the leading NUL; the limit for a socket's name is 108"),
        ("/x/\ud800", r"address /x/\xed\xa0\x80: not a name in this locale's encoding"),
    ],
)
def test_an_impossible_address_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(text)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()
    assert caught.value.exit_status == 2
