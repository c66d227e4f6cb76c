"""What a socket unit passes goes to the endpoint that it is for, or ends the start."""

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from localechod import config
from localechod.daemon import activation
from localechod.daemon.activation import UNIT, Passed
from localechod.daemon.inherited import parse
from localechod.daemon.restart import take_over
from localechod.echo.binding import Owner
from localechod.errors import UsageError
from localechod.localsocket.bound import Bound
from tests.unit.restart_fakes import Kept

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
OWN = Owner(os.geteuid(), os.getegid())


@pytest.fixture
def loaded(sockdir: Path) -> config.Config:
    text = (
        '[endpoints.s]\ntype = "stream"\nmode = "0666"\n'
        '[endpoints.d]\ntype = "datagram"\nmode = "0666"\n'
        '[endpoints.q]\ntype = "seqpacket"\npath = "@localechod-test"\n'
    )
    return config.parse(f"version = 1\n{text}", sockdir, "test")


@pytest.fixture
def bound(sockdir: Path) -> Iterator[dict[str, socket.socket]]:
    """What a socket unit binds for these endpoints."""
    sockets = {"s": socket.socket(socket.AF_UNIX), "d": socket.socket(socket.AF_UNIX, DATAGRAM)}
    for name, sock in sockets.items():
        sock.bind(str(sockdir / f"{name}.sock"))
        (sockdir / f"{name}.sock").chmod(0o666)
    sockets["s"].listen()
    yield sockets
    for sock in sockets.values():
        sock.close()


def matched(loaded: config.Config, *passed: tuple[str, int]) -> dict[str, Passed]:
    return activation.match(activation.describe(passed), loaded.endpoints)


def refusal(loaded: config.Config, *passed: tuple[str, int]) -> str:
    with pytest.raises(UsageError) as caught:
        matched(loaded, *passed)
    assert caught.value.exit_status == 2
    assert "systemctl cat localechod.socket" in caught.value.hint
    return caught.value.text.removeprefix("socket activation failed: ")


def test_names_of_endpoints_say_whose_they_are(
    loaded: config.Config, bound: dict[str, socket.socket]
) -> None:
    found = matched(loaded, ("d", bound["d"].fileno()), ("s", bound["s"].fileno()))
    assert {name: one.descriptor for name, one in found.items()} == {
        name: sock.fileno() for name, sock in bound.items()
    }


@pytest.mark.parametrize("order", ["sd", "ds"])
def test_those_of_one_unit_are_told_apart_by_what_they_are_in_any_order(
    loaded: config.Config, bound: dict[str, socket.socket], order: str
) -> None:
    found = matched(loaded, *((UNIT, bound[name].fileno()) for name in order))
    assert {name: one.descriptor for name, one in found.items()} == {
        name: sock.fileno() for name, sock in bound.items()
    }


def test_an_abstract_address_is_matched_too(loaded: config.Config) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind("\0localechod-test")
        sock.listen()
        assert list(matched(loaded, (UNIT, sock.fileno()))) == ["q"]


def test_a_name_of_nobody_is_refused(
    loaded: config.Config, bound: dict[str, socket.socket], sockdir: Path
) -> None:
    fd = bound["s"].fileno()
    assert refusal(loaded, ("w\x1b", fd)) == (
        f'descriptor {fd} ("w\\x1b"), a stream socket at {sockdir}/s.sock: '
        "no endpoint has this name; there are s, d, q"
    )


def test_one_without_a_name_is_refused_whatever_it_is(
    loaded: config.Config, bound: dict[str, socket.socket]
) -> None:
    said = refusal(loaded, ("", bound["s"].fileno()))
    assert "(without a name), a stream socket at " in said
    assert "no endpoint has this name" in said


def test_a_name_does_not_make_it_another_socket(
    loaded: config.Config, bound: dict[str, socket.socket], sockdir: Path
) -> None:
    fd = bound["d"].fileno()
    assert refusal(loaded, ("s", fd)) == (
        f'descriptor {fd} ("s"), a datagram socket at {sockdir}/d.sock: '
        f"wanted is s: stream at {sockdir}/s.sock"
    )


@pytest.mark.parametrize("name", ["s", UNIT])
def test_the_type_has_to_be_the_endpoints(loaded: config.Config, sockdir: Path, name: str) -> None:
    with socket.socket(socket.AF_UNIX, DATAGRAM) as sock:
        sock.bind(str(sockdir / "s.sock"))
        said = refusal(loaded, (name, sock.fileno()))
    assert f"a datagram socket at {sockdir}/s.sock: " in said
    assert f"s: stream at {sockdir}/s.sock" in said
    assert "d: datagram" not in said  # of all endpoints, the one that has the address


@pytest.mark.parametrize("name", ["s", UNIT])
def test_a_stream_has_to_listen(loaded: config.Config, sockdir: Path, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "s.sock"))
        assert "s.sock that does not listen: " in refusal(loaded, (name, sock.fileno()))


def test_an_address_of_no_endpoint_is_refused_with_all_there_are(
    loaded: config.Config, sockdir: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "other"))
        sock.listen()
        said = refusal(loaded, (UNIT, sock.fileno()))
    assert f"a stream socket at {sockdir}/other: it fits no endpoint (s: stream at " in said
    assert said.endswith("q: seqpacket at @localechod-test)")


def test_a_socket_without_an_address_is_refused(loaded: config.Config) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert "a stream socket without an address that does" in refusal(
            loaded, (UNIT, ours.fileno())
        )


@pytest.mark.parametrize("what", ["file", "internet"])
def test_what_is_no_local_socket_is_refused(
    loaded: config.Config, sockdir: Path, what: str
) -> None:
    with socket.socket(socket.AF_INET) as inet, (sockdir / "f").open("wb") as file:
        descriptor = inet.fileno() if what == "internet" else file.fileno()
        assert f'descriptor {descriptor} ("s"), which is not a local socket: ' in refusal(
            loaded, ("s", descriptor)
        )


def test_two_for_one_endpoint_are_refused(
    loaded: config.Config, bound: dict[str, socket.socket]
) -> None:
    first = bound["s"].fileno()
    with bound["s"].dup() as again:
        second = again.fileno()
        said = refusal(loaded, ("s", first), (UNIT, second))
    assert said.startswith(f'descriptor {second} ("{UNIT}"), ')
    assert said.endswith(f"endpoint s has descriptor {first} already")


def test_every_fault_is_told_at_once(
    loaded: config.Config, bound: dict[str, socket.socket]
) -> None:
    said = refusal(loaded, ("x", bound["s"].fileno()), ("y", bound["d"].fileno()))
    assert said.count("no endpoint has this name") == 2


def lent(loaded: config.Config, sock: socket.socket) -> Bound:
    found = matched(loaded, ("s", sock.dup().detach()))
    (bound,) = activation.open_sockets(found, loaded, OWN).values()
    assert isinstance(bound, Bound)
    return bound


def test_a_lent_socket_is_as_it_was_made_and_keeps_its_file(
    loaded: config.Config, bound: dict[str, socket.socket], sockdir: Path
) -> None:
    one = lent(loaded, bound["s"])
    assert one.activated
    assert one.file is not None
    assert not one.sock.getblocking()
    assert not one.remove()
    one.sock.close()
    assert (sockdir / "s.sock").is_socket()


@pytest.mark.parametrize("mode", [0o666, 0o600])
def test_another_mode_than_the_configurations_is_told_and_left(
    loaded: config.Config,
    bound: dict[str, socket.socket],
    sockdir: Path,
    caplog: pytest.LogCaptureFixture,
    mode: int,
) -> None:
    (sockdir / "s.sock").chmod(mode)
    with caplog.at_level(logging.WARNING):
        lent(loaded, bound["s"]).close()
    assert ("mode 0600 instead of 0666" in caplog.text) == (mode == 0o600)
    assert (sockdir / "s.sock").stat().st_mode & 0o777 == mode


def test_what_was_kept_from_before_the_socket_unit_is_closed(
    loaded: config.Config, bound: dict[str, socket.socket], sockdir: Path
) -> None:
    store = Kept()
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(sockdir / "old"))
        store.keep("@s", old.fileno())
    found = matched(loaded, ("s", bound["s"].dup().detach()))
    lent = activation.open_sockets(found, loaded, OWN)
    (one,) = lent.values()
    assert take_over(loaded, OWN, parse(store.pass_on()), store, lent) == {}
    assert store.held == {}
    assert isinstance(one, Bound)
    one.close()
