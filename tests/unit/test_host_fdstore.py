"""Descriptors in and out of the service manager's store, with a socket that plays the manager."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from localechod.host.fdstore import CAPACITY, Store, descriptors
from localechod.host.systemd import Notifier

INHERIT = """
import fcntl, os, sys
from localechod.errors import UsageError
from localechod.host.fdstore import inherit
count = int(sys.argv[1])
for number in range(3, 3 + count):
    os.dup2(1, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[2])
if len(sys.argv) > 3:
    os.environ["LISTEN_FDNAMES"] = sys.argv[3]
try:
    found = inherit()
except UsageError as error:
    print(error)
else:
    closed = all(fcntl.fcntl(fd, fcntl.F_GETFD) for fds in found.values() for fd in fds)
    print(found, closed, sorted(name for name in os.environ if name.startswith("LISTEN")))
"""


def inherited(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", INHERIT, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_what_is_passed_is_known_by_its_names_and_the_variables_are_gone() -> None:
    assert inherited("3", "3", "a:b:a") == "{'a': [3, 5], 'b': [4]} True []"


def test_names_that_systemd_makes_up_are_no_names() -> None:
    assert inherited("4", "4", "stored:unknown:a") == "{'': [3, 4, 6], 'a': [5]} True []"
    assert inherited("2", "2") == "{'': [3, 4]} True []"


def test_a_count_that_is_not_true_is_refused() -> None:
    assert inherited("1", "2").startswith("LISTEN_FDS=2: descriptor 4 is not open; ")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, []),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, [3, 4]),
        ({"LISTEN_PID": "8", "LISTEN_FDS": "2"}, []),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "-2"}, []),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "²"}, []),
        ({"LISTEN_FDS": "2"}, []),
    ],
)
def test_descriptors_count_as_passed_only_to_the_process_they_are_for(
    environ: dict[str, str], expected: list[int]
) -> None:
    assert list(descriptors(environ, 7)) == expected


@pytest.fixture
def manager(sockdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(sockdir / "notify"))
        end.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(sockdir / "notify"))
        yield end


def test_a_stored_descriptor_arrives_with_its_name(manager: socket.socket) -> None:
    reader, writer = os.pipe()
    Store(Notifier()).keep("@stream", writer)
    message, (stored,), _, _ = socket.recv_fds(manager, 4096, 4)
    assert message.decode().splitlines() == ["FDSTORE=1", "FDNAME=@stream", "FDPOLL=0"]
    os.write(stored, b"same pipe")
    assert os.read(reader, 20) == b"same pipe"
    for descriptor in (reader, writer, stored):
        os.close(descriptor)


def test_a_name_is_taken_out_again(manager: socket.socket) -> None:
    Store(Notifier()).drop("@stream")
    assert manager.recv(4096).decode().splitlines() == ["FDSTOREREMOVE=1", "FDNAME=@stream"]


def test_the_barrier_opens_when_the_manager_has_read_it(manager: socket.socket) -> None:
    def read() -> None:
        message, (pipe,), _, _ = socket.recv_fds(manager, 4096, 4)
        if message == b"BARRIER=1":
            os.close(pipe)

    thread = Thread(target=read)
    thread.start()
    assert Store(Notifier()).barrier(5)
    thread.join()


def test_the_barrier_stays_closed_while_the_manager_does_not_read(manager: socket.socket) -> None:
    store = Store(Notifier())
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert not store.barrier(0.01)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with suppress(OSError):
        os.close(socket.recv_fds(manager, 4096, 4)[1][0])


def test_the_barrier_stays_closed_where_the_manager_is_gone(manager: socket.socket) -> None:
    store = Store(Notifier())
    manager.close()
    assert not store.barrier(5)


def test_without_a_manager_nothing_is_stored() -> None:
    store = Store(Notifier({}))
    store.keep("@stream", 0)
    store.drop("@stream")
    assert not store.barrier(5)


def test_the_room_is_what_the_unit_says_unless_the_manager_knows_better(
    manager: socket.socket,
) -> None:
    notifier = Notifier()
    unit = Path(__file__).parents[2] / "packaging/systemd/localechod.service"
    assert f"\nFileDescriptorStoreMax={CAPACITY}\n" in unit.read_text(encoding="utf-8")
    assert Store(notifier, {}).capacity == CAPACITY
    assert Store(notifier, {"FDSTORE": "10"}).capacity == 10
    assert Store(notifier, {"FDSTORE": "²"}).capacity == CAPACITY
    assert Store(Notifier({}), {"FDSTORE": "10"}).capacity == 0
