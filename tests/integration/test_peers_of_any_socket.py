"""localechoctl peers of any socket: compared with what the test has connected, and with ss."""

import json
import os
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from localechod.ctl import app
from localechod.ctl.connections import as_json, find
from localechod.errors import NothingListensError, NotPermittedError, UsageError
from tests.integration.harness import as_user, needs_root
from tests.integration.stage import CLONE_NEWNET, NOBODY, Stage, unshare

ARRANGEMENTS = 100
STATES = ["accepted", "waiting", "half-closed", "shut down", "closed", "connected", "pair"]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


@dataclass
class End:
    """One end that the test has made: its inode, its processes, and the bytes that it may read."""

    sock: socket.socket
    unread: int = 0
    pids: set[int] = field(default_factory=lambda: {os.getpid()})
    inode: int = 0

    def __post_init__(self) -> None:
        self.inode = inode(self.sock)

    def expected(self) -> tuple[int, int, set[int]]:
        return self.inode, self.unread, self.pids


class Arrangement:
    """Two sockets in a random state, and what `peers` must say of them."""

    def __init__(self, number: int, stage: Stage) -> None:
        self.random = random.Random(number)  # noqa: S311 - the same arrangements each time
        self.stage = stage
        self.state = STATES[number % len(STATES)]
        self.client: End | None
        self.server: End | None
        stream = self.random.choice([socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
        self.kind = socket.SOCK_DGRAM if self.state in {"connected", "pair"} else stream
        self.name = str(stage.directory / f"s{number}")
        if self.random.random() < 0.3:
            self.name = f"\0{stage.directory.name}-{number}"
        self.make()
        self.passed_on = False
        self.scatter()

    def socket(self) -> socket.socket:
        return self.stage.stack.enter_context(socket.socket(socket.AF_UNIX, self.kind))

    def make(self) -> None:
        listener, client = self.socket(), self.socket()
        listener.bind(self.name)
        self.listener = listener
        if self.random.random() < 0.3 or self.state == "pair":
            client.bind(f"{self.name}-client")
        if self.kind != socket.SOCK_DGRAM:
            listener.listen(5)
        client.connect(self.name)
        self.client, self.server = End(client), None
        if self.kind == socket.SOCK_DGRAM:
            self.server = End(listener)
            if self.state == "pair":
                listener.connect(f"{self.name}-client")
                self.send(self.server, self.client)
            self.send(self.client, self.server)
        elif self.state != "waiting" and not self.is_closed_in_line():
            accepted = self.stage.stack.enter_context(listener.accept()[0])
            self.server = End(accepted)
            self.send(self.client, self.server)
            self.send(self.server, self.client)
        self.shut()

    def is_closed_in_line(self) -> bool:
        return self.state == "closed" and self.random.random() < 0.3

    def send(self, source: End, target: End) -> None:
        target.unread = self.random.choice([0, 1, 100])
        if target.unread:
            source.sock.send(b"x" * target.unread)

    def shut(self) -> None:
        ends = [end for end in (self.client, self.server) if end]
        one = self.random.choice(ends)
        if self.state == "half-closed":
            one.sock.shutdown(self.random.choice([socket.SHUT_WR, socket.SHUT_RD]))
        elif self.state == "shut down":
            one.sock.shutdown(socket.SHUT_RDWR)
        elif self.state == "closed":
            one.sock.close()
            if one is self.client:
                self.client = None
            else:
                self.server = None

    def scatter(self) -> None:
        """Pass ends on to other processes, which may hold them alone."""
        for end in (self.client, self.server):
            if end is None or self.random.random() < 0.5:
                continue
            other = subprocess.Popen(["sleep", "600"], pass_fds=[end.sock.fileno()])
            self.stage.stack.callback(other.wait)
            self.stage.stack.callback(other.kill)
            end.pids.add(other.pid)
            if self.random.random() < 0.5:
                end.sock.close()
                end.pids.remove(os.getpid())
            if end is self.server:
                # A datagram server has no listener: only several holders show that it is shared.
                alone = self.kind == socket.SOCK_DGRAM and len(end.pids) == 1
                self.passed_on = not alone

    @property
    def has_lost_its_name(self) -> bool:
        """The address was that of the server's end, which is closed: the kernel forgets it."""
        return self.state == "closed" and self.client is not None

    def expected(self) -> dict[str, Any]:
        ends = [end.expected() if end else None for end in (self.client, self.server)]
        if self.state == "pair" or (self.state == "closed" and any(ends)):
            # A client that is bound cannot be told from a socket that a closed listener accepted.
            ends.sort(key=str)
        return {"state": self.state, "passed_on": self.passed_on, "ends": ends}


def told(row: dict[str, Any]) -> dict[str, Any]:
    ends = [
        end and (end["inode"], end["unread"], {each["pid"] for each in end["processes"]})
        for end in (row["client"], row["server"])
    ]
    if row["state"] == "pair" or (row["state"] == "closed" and any(ends)):
        ends.sort(key=str)
    return {"state": row["state"], "passed_on": row["passed_on"], "ends": ends}


def rows(name: str | None, pid: int | None = None) -> list[dict[str, Any]]:
    return [as_json(row) for row in find(None if name is None else os.fsencode(name), pid).rows]


@pytest.fixture
def arrangements(stage: Stage) -> list[Arrangement]:
    return [Arrangement(number, stage) for number in range(ARRANGEMENTS)]


def test_every_random_arrangement_is_told_right(arrangements: list[Arrangement]) -> None:
    wrong = []
    for each in arrangements:
        found = [told(row) for row in rows(each.name)]
        expected = each.expected()
        if each.state == "pair":  # which of the two is the server cannot be seen
            found = [row | {"passed_on": each.passed_on} for row in found]
        if each.has_lost_its_name:
            pid = min(each.client.pids) if each.client else None
            assert found == []
            found = [row for row in map(told, rows(None, pid)) if row["ends"] == expected["ends"]]
        if found != [expected]:
            wrong.append((each.name, expected, found))
    assert not wrong, f"{len(wrong)} of {ARRANGEMENTS}: {wrong[0]}"


@pytest.mark.skipif(not shutil.which("ss"), reason="ss (iproute2) is not installed")
def test_ss_says_the_same(arrangements: list[Arrangement]) -> None:
    done = subprocess.run(
        ["ss", "-xpaH"], capture_output=True, text=True, errors="surrogateescape", check=True
    )
    theirs = {}
    for line in done.stdout.splitlines():
        if f"{arrangements[0].stage.directory.name}" not in line and " * " not in line:
            continue
        words = line.split()
        if len(words) > 7 and words[5].isdecimal() and words[7].isdecimal():
            pids = {int(pid) for pid in re.findall(r"pid=(\d+)", line)}
            theirs[int(words[5])] = (int(words[7]), int(words[2]), pids)
    compared = 0
    for each in arrangements:
        for row in rows(each.name):
            for own, other in (("client", "server"), ("server", "client")):
                end, peer = row[own], row[other]
                if end is None:
                    continue
                their_peer, their_queue, their_pids = theirs[end["inode"]]
                one_way = row["state"] == "connected" and own == "server"
                assert their_peer == (0 if peer is None or one_way else peer["inode"]), row
                assert their_queue == end["unread"], row
                assert their_pids == {holder["pid"] for holder in end["processes"]}, row
                compared += 1
    assert compared > ARRANGEMENTS


def test_a_process_has_each_of_its_connections_once(arrangements: list[Arrangement]) -> None:
    found = rows(None, os.getpid())
    for each in arrangements:
        ends = [end for end in (each.client, each.server) if end]
        ours = any(os.getpid() in end.pids for end in ends) or each.server is None
        name = os.fsencode(each.name)
        shown = [row for row in found if row["path"] in {_shown(name), _shown(name + b"-client")}]
        if each.has_lost_its_name:
            continue
        assert len(shown) == ours, (each.name, shown)


def _shown(name: bytes) -> str:
    return name.decode().replace("\0", "@")


def test_a_worker_that_shares_the_listener_is_not_one_to_which_it_was_passed(stage: Stage) -> None:
    listener = stage.listener()
    client = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(listener.getsockname())
    accepted, _ = listener.accept()
    with accepted:
        descriptors = [listener.fileno(), accepted.fileno()]
        worker = subprocess.Popen(["sleep", "600"], pass_fds=descriptors)
        stage.stack.callback(worker.wait)
        stage.stack.callback(worker.kill)
    (row,) = rows(listener.getsockname())
    assert (row["state"], row["passed_on"]) == ("accepted", False)
    assert [each["pid"] for each in row["server"]["processes"]] == [worker.pid]


def test_a_path_leads_to_its_socket_however_it_is_written(
    stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = stage.listener()
    (stage.directory / "link").symlink_to("s")
    (stage.directory / "hard").hardlink_to(stage.directory / "s")
    client = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(str(stage.directory / "hard"))
    monkeypatch.chdir(stage.directory)
    path = f"{stage.directory}/s"
    for text in (path, f"unix://{path}", f"unix:path={path},guid=0", "./link", "unix:hard"):
        assert app.run(["peers", "--json", text]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["path"], row["state"]) == (path, "waiting")
        assert row["client"]["inode"] == inode(client)
    listener.close()
    assert app.run(["peers", path]) == NothingListensError.exit_status
    assert capsys.readouterr().err.startswith(f"no socket is bound to {path}; ")


def test_a_table_has_80_columns_and_a_line_for_each_holder(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = stage.listener()
    client = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
    assert app.run(["peers", listener.getsockname()]) == 0
    assert capsys.readouterr().out == "no peers are connected\n"
    client.connect(listener.getsockname())
    accepted = stage.stack.enter_context(listener.accept()[0])
    other = subprocess.Popen(["sleep", "600"], pass_fds=[accepted.fileno()])
    stage.stack.callback(other.wait)
    stage.stack.callback(other.kill)
    client.send(b"hello")
    assert app.run(["peers", listener.getsockname()]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["STATE", "TO-SERVER", "TO-CLIENT", "CLIENT", "SERVER"]
    assert first.split()[:4] == ["passed", "on", "5", "0"]
    # In the order of their pids, which may have begun again at 1.
    assert f"sleep ({other.pid}, " in (first if other.pid < os.getpid() else second)
    assert max(map(len, (header, first, second))) <= 80
    assert app.run(["peers", "--pid", str(other.pid)]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["STATE", "UNREAD", "SENT", "SIDE", "PEER", "PATH"]
    assert line.split()[:5] == ["passed", "on", "5", "0", "server"]


@needs_root
def test_a_client_in_another_network_namespace_is_found(stage: Stage) -> None:
    listener = stage.listener()
    path = listener.getsockname()

    def connect() -> None:
        unshare(CLONE_NEWNET)
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        sock.send(b"hi")
        sock.detach()

    waiting = stage.process(connect)
    (row,) = rows(path)
    assert (row["state"], [each["pid"] for each in row["client"]["processes"]]) == (
        "waiting",
        [waiting.pid],
    )
    accepted = stage.stack.enter_context(listener.accept()[0])
    (row,) = rows(path)
    assert (row["state"], row["server"]["inode"]) == ("accepted", inode(accepted))
    assert row["server"]["unread"] == 2
    assert [each["pid"] for each in row["client"]["processes"]] == [waiting.pid]


@needs_root
def test_an_abstract_name_of_another_network_namespace_is_another_one(stage: Stage) -> None:
    name = f"\0{stage.directory.name}"

    def serve() -> None:
        unshare(CLONE_NEWNET)
        listener, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        listener.bind(name)
        listener.listen()
        client.connect(name)
        listener.accept()[0].detach()
        listener.detach()
        client.detach()

    server = stage.process(serve)
    with pytest.raises(NothingListensError):
        rows(name)
    # The pair is that by which the test talks to the process.
    assert [row["state"] for row in rows(None, server.pid)] == ["pair", "accepted"]


@needs_root
def test_without_rights_a_line_says_so_and_users_are_still_known(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    listener = stage.listener()
    client = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(listener.getsockname())
    path = listener.getsockname()

    def look() -> int:
        client.close()  # the child's copy, which would be held by its user
        return app.run(["peers", path])

    assert as_user(NOBODY, [], look) == 0
    shown = capfd.readouterr()
    assert re.search(r"\d+ process(es)? could not be inspected; root sees more\n", shown.err)
    assert "unknown (root)" in shown.out
    words = ["peers", "--pid", str(os.getpid())]
    assert as_user(NOBODY, [], lambda: app.run(words)) == NotPermittedError.exit_status


def test_a_process_that_does_not_exist_is_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app.run(["peers", "--pid", "4194305"]) == UsageError.exit_status
    assert capsys.readouterr().err == "no such process: 4194305; see ps -e\n"
