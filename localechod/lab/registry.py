"""All experiments in the order of the tutorial, then those beyond it, and finding them by name."""

import difflib
from collections.abc import Sequence

from localechod.errors import UsageError
from localechod.lab import (
    addresses,
    bad_peers,
    boundaries,
    client_address,
    client_exit,
    comparisons,
    permissions,
    server_exit,
    socket_types,
)
from localechod.lab.experiment import Experiment, Judgment
from localechod.text import escape

_JUDGMENTS = (
    Judgment("easy", verdict=True),
    Judgment("dockershim", verdict=True),
    Judgment("docker-sockets", verdict=True),
    Judgment("renamed", verdict=False),
    Judgment("x-window", verdict=True),
    Judgment("shared-memory", verdict=True),
    Judgment("rpc", verdict=False),
    Judgment("same-as-kubernetes", verdict=False),
)

# The order of the tutorial: introduction, overview, stream programs and their scenes, datagram
# programs and their scenes, questions. Last, what only a bad peer shows.
_ORDER = """
    easy dockershim docker-sockets grpc renamed through-the-stack pipes shared-memory rpc x-window
    own-family af-local leftover unlink-destroys unlink-steals path-too-long abstract one-client
    stream-chunks fixed-records absolute-required relative-elsewhere directory-path socket-file
    no-handshake file-is-the-address only-client bind-denied bind-root equals-sign listing
    same-as-kubernetes stream-answers stream-lines ctrl-c server-killed server-killed-idle
    no-listen read-write no-name path-needed udp-no-bind left-behind tmpnam-race
    datagram-answers datagram-boundaries datagram-leaving datagram-empty same-interface
    faster-than-tcp faster-than-udp client-denied empty-message killed-unread stream-to-datagram
    datagram-to-stream full-backlog half-close close-unread killed-with-request lost-datagram
""".split()  # noqa: SIM905 - easier to read than 61 quoted lines

_MODULES = (
    addresses,
    bad_peers,
    boundaries,
    client_address,
    client_exit,
    comparisons,
    permissions,
    server_exit,
    socket_types,
)
_BY_NAME: dict[str, Experiment | Judgment] = {
    each.name: each
    for each in (*_JUDGMENTS, *(e for module in _MODULES for e in module.EXPERIMENTS))
}

EXPERIMENTS: tuple[Experiment | Judgment, ...] = tuple(_BY_NAME[name] for name in _ORDER)


def find(names: Sequence[str]) -> tuple[Experiment | Judgment, ...]:
    """Return the experiments with these names, in the given order; without names, all of them.

    Raises:
        UsageError: a name is unknown; the error lists all names, the most similar ones first.
    """
    if not names:
        return EXPERIMENTS
    known = {each.name: each for each in EXPERIMENTS}
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            others = [each for each in known if each not in close]
            raise UsageError(
                f"there is no experiment {escape(name)}", f"there are {', '.join(close + others)}"
            )
    return tuple(known[name] for name in names)
