"""The fixtures and the marker, which pytest finds by the entry point `pytest11`.

Every pytest session imports this module, also one without a peer. It imports the daemon's client
when a fixture asks for it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from localechod.testing.peers import LocalPeer, LocalPeers

MARKER = "local_peer_needs"


class MakeLocalPeer(Protocol):
    """The type of the fixture `local_peer`; see `LocalPeers.add`."""

    def __call__(self, kind: str = "stream", /, **keys: Any) -> "LocalPeer":
        """Return a new peer, which listens until the end of the test."""
        ...


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker, for `pytest --markers` and --strict-markers."""
    config.addinivalue_line(
        "markers",
        f'{MARKER}("root", "other_users"): skip the test, with the reason, for a user who is not '
        "root, or whose processes cannot become other users",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a marked test that this user cannot run."""
    for marker in item.iter_markers(MARKER):
        from localechod.testing.capability import missing  # noqa: PLC0415 - for marked tests only

        try:
            reason = missing(marker.args)
        except ValueError as error:
            pytest.fail(f"{MARKER}: {error}", pytrace=False)
        if reason:
            pytest.skip(reason)


@pytest.fixture(scope="session")
def local_peers() -> "Iterator[LocalPeers]":
    """The daemon of this session (with pytest-xdist: of this worker), and its peers."""
    from localechod.errors import LocalechodError  # noqa: PLC0415 - see above
    from localechod.testing.peers import LocalPeers  # noqa: PLC0415 - see above

    try:
        peers = LocalPeers()
    except LocalechodError as error:
        pytest.fail(str(error), pytrace=False)
    yield peers
    peers.close()


@pytest.fixture
def local_peer(local_peers: "LocalPeers") -> Iterator[MakeLocalPeer]:
    """Return a function that makes a peer for this test; see `LocalPeers.add`.

    `local_peer("stream", mode="0600")` returns a `LocalPeer`. It is removed after the test.
    """
    made: list[LocalPeer] = []

    def make(kind: str = "stream", /, **keys: Any) -> "LocalPeer":
        __tracebackhide__ = True
        made.append(local_peers.add(kind, **keys))
        return made[-1]

    yield make
    for peer in made:
        peer.remove()
