"""What real clients print when the peer misbehaves: each row of the table in docs/testing.md."""

import re
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from localechod.testing.plugin import MakeLocalPeer
from tests.integration.harness import until
from tests.integration.real_clients import CLIENTS, FILE
from tests.integration.testing_page import PAGE

ROWS = re.findall(r"(?m)^\| `([\w.()= ]+)`[^|]* \| ([\w.-]+) \| (.*) \|$", PAGE)

# A peer that HTTP clients can read the beginning of.
OK = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"


def faults(shown: str) -> dict[str, object]:
    key, _, value = shown.partition(" = ")
    return {} if shown == "stop()" else {key: True if value == "true" else int(value)}


def pattern(shown: str) -> str:
    return re.escape(shown).replace(re.escape("..."), ".*")


ROWS_BY_PLACE = {(peer, client): printed for peer, client, printed in ROWS}


def test_every_client_has_a_row_for_every_peer_of_the_table() -> None:
    peers = {peer for peer, _client, _printed in ROWS}
    assert len(peers) == 7
    assert sorted(ROWS_BY_PLACE) == sorted((peer, client) for peer in peers for client in CLIENTS)


@pytest.mark.parametrize(("shown", "name"), ROWS_BY_PLACE)
def test_a_client_prints_what_the_page_says(
    local_peer: MakeLocalPeer, sockdir: Path, tmp_path: Path, shown: str, name: str
) -> None:
    client = CLIENTS[name]
    if not client.is_here:
        pytest.skip(f"{client.needs} is not installed")
    sockdir.chmod(0o777)  # the daemon of root's tests is nobody
    path = sockdir / FILE
    keys = {"prefix": OK, "framing": "chunk", "backlog": 1, "faults": faults(shown)}
    peer = local_peer("stream", path=str(path), **keys)
    with ExitStack() as stack:
        if shown == "stop()":
            peer.stop()
        if "never_accept" in shown:
            for _ in range(2):
                stack.enter_context(socket.socket(socket.AF_UNIX)).connect(peer.path)
        if "die_after" in shown:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(peer.path)
                sock.sendall(b"last\n")
                until(lambda: peer.status().state == "stopped")
        printed = client.ask(path, tmp_path).replace(str(path), "PEER")
        printed = printed.replace("Could not", "Couldn't")  # curl 8
    wanted = re.findall(r"`([^`]+)`", ROWS_BY_PLACE[shown, name])
    assert any(re.fullmatch(pattern(each), printed) for each in wanted), printed
