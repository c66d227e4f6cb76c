"""Whatever is asked for and whatever happens, in any order: the endpoints stay in order.

Control calls, reloads and restarts on one side; on the other files that vanish, are replaced or
renamed, directories that go and come, clients of every kind, and no descriptor left. Beside these
endpoints, others with faults, whose clients get whatever comes.
"""

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from localechod.config import compare
from localechod.echo.lifecycle import State
from localechod.errors import LocalechodError
from tests.fuzz.bad_endpoints import ACTIONS, BAD, ONCE, TYPES, Hostile, bad_settings
from tests.fuzz.clients import Client
from tests.fuzz.world import Tables, World

NAMES = ("line", "chunk", "sequence", "datagram", "deep")
CLIENTS = 8

ALL = (*NAMES, *BAD)
HOSTILE = 6

names = st.sampled_from(ALL)
good_names = st.sampled_from(NAMES)
which = st.integers(min_value=0, max_value=CLIENTS - 1)

# One endpoint's settings beside its type and place. What takes another socket is among them (mode,
# backlog, enabled), and what does not.
keys = st.fixed_dictionaries(
    {},
    optional={
        "prefix": st.sampled_from(["", "Hi, ", "> ", "ä" * 100]),
        "mode": st.sampled_from(["0600", "0666"]),
        "max_message": st.sampled_from([64, 4096, 1 << 20]),
        "log_messages": st.booleans(),
        "enabled": st.booleans(),
        "elsewhere": st.booleans(),
    },
)


def tables(directory: Path, chosen: dict[str, dict[str, Any]]) -> Tables:
    """Return the settings of all endpoints as a configuration file has them."""
    types = {"sequence": "seqpacket", "datagram": "datagram"} | TYPES
    found = {}
    for name, own in chosen.items():
        table = {"type": types.get(name, "stream"), "mode": "0666"} | own
        if name == "chunk":
            table["framing"] = "chunk"
        table["path"] = str(directory / f"{name}{'2' * table.pop('elsewhere', False)}.sock")
        if name == "deep":
            table["path"] = str(directory / "deep" / "deep.sock")
        found[name] = table
    return found


class Endpoints(RuleBasedStateMachine):
    """One service; `clients` have to be answered, and nobody else is connected."""

    @initialize()
    def begin(self) -> None:
        self.chosen: dict[str, dict[str, Any]] = {name: {} for name in ALL}
        self.world = World({"line": {"type": "stream"}})
        self.directory = self.world.directory
        (self.directory / "deep").mkdir()
        self.clients: list[Client] = []
        self.hostile: list[Hostile] = []
        self.lives = 1
        self.others: list[socket.socket] = []
        self.counted: dict[str, dict[str, int]] = {}
        self.apply(self.chosen)
        assert self.states() == dict.fromkeys(ALL, State.LISTENING)
        self.clients += [Client(self.world, name) for name in NAMES]

    def states(self) -> dict[str, str]:
        return {row.name: row.state for row in self.world.supervisor.status()}

    def let_go(self, gone: Callable[[Client], bool]) -> None:
        """See that clients whose endpoint has closed were told so, and forget them."""
        for client in [client for client in self.clients if gone(client)]:
            client.was_let_go()
            self.clients.remove(client)

    # ---- what somebody asks for ------------------------------------------------------------------

    def change(self, what: str, name: str) -> None:
        with suppress(LocalechodError):
            getattr(self.world.supervisor, what)(name)

    def ask(self, what: str, name: str) -> None:
        self.change(what, name)
        self.let_go(lambda client: client.name == name and what != "start")

    @rule(name=names)
    def start(self, name: str) -> None:
        self.ask("start", name)

    @rule(name=names)
    def stop(self, name: str) -> None:
        self.ask("stop", name)
        assert self.states().get(name, State.STOPPED) == State.STOPPED

    @rule(name=names)
    def restart_one(self, name: str) -> None:
        self.ask("restart", name)

    @rule(name=good_names, own=keys, removed=st.sampled_from([None, None, None, *ALL]))
    def reload(self, name: str, own: dict[str, Any], removed: str | None) -> None:
        chosen = self.chosen | {name: own}
        if removed is not None and len(chosen) > 1:
            chosen = {other: kept for other, kept in chosen.items() if other != removed}
        self.apply(chosen)

    @rule(chosen=bad_settings)
    def reload_with_faults(self, chosen: tuple[str, dict[str, Any]]) -> None:
        name, own = chosen
        self.apply(self.chosen | {name: own})

    def apply(self, chosen: dict[str, dict[str, Any]]) -> None:
        before = self.world.service._config
        after = self.world.write(tables(self.directory, chosen))
        try:
            self.world.reload()
        except LocalechodError:  # it cannot be bound as asked: nothing has changed
            self.world.write(tables(self.directory, self.chosen))
            return
        self.chosen = chosen
        changes = compare(before, after)
        closed = {*changes.removed, *changes.rebound}
        closed |= {name for name in changes.live if not after.endpoints[name].enabled}
        self.let_go(lambda client: client.name in closed)
        for name in {*changes.removed, *changes.added}:
            self.counted.pop(name, None)  # counters are those of one endpoint, not of a name

    @rule(amid=st.booleans())
    def restart_everything(self, *, amid: bool) -> None:
        for client in self.clients if amid else ():
            if client.name in {"line", "deep"} and not client.begun:
                client.begin()
        self.world.settle()
        self.world.restart()
        self.lives += 1
        # What stands in the way of its path keeps an endpoint from being bound anew: then there is
        # nobody to serve its connections, nor to answer what they had begun.
        states = self.states()
        for client in self.clients:
            if states[client.name] == State.FAILED:
                client.begun = b""
        self.let_go(lambda client: states[client.name] == State.FAILED)

    # ---- what happens to the files ---------------------------------------------------------------

    def path(self, name: str) -> Path:
        return Path(tables(self.directory, {name: self.chosen.get(name, {})})[name]["path"])  # type: ignore[arg-type]

    @rule(name=names)
    def delete(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    @rule(name=names)
    def put_a_file_there(self, name: str) -> None:
        path = self.path(name)
        path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            path.write_bytes(b"no socket")

    @rule(name=names)
    def put_a_socket_of_another_there(self, name: str) -> None:
        path = self.path(name)
        path.unlink(missing_ok=True)
        other = socket.socket(socket.AF_UNIX)
        self.others.append(other)
        with suppress(FileNotFoundError):
            other.bind(str(path))
            other.listen()

    @rule(name=names)
    def let_that_socket_die(self, name: str) -> None:
        for other in self.others:
            if other.getsockname() == str(self.path(name)):
                other.close()
        self.others = [other for other in self.others if other.fileno() >= 0]

    @rule(name=names)
    def rename(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.path(name).rename(self.directory / f"{name}.away")

    @rule(name=names)
    def rename_back(self, name: str) -> None:
        with suppress(FileNotFoundError):
            (self.directory / f"{name}.away").rename(self.path(name))

    @rule(name=names, mode=st.sampled_from([0o000, 0o600, 0o777]))
    def chmod(self, name: str, mode: int) -> None:
        with suppress(FileNotFoundError):
            self.path(name).chmod(mode)

    @rule()
    def remove_the_directory(self) -> None:
        deep = self.directory / "deep"
        if deep.exists():
            for entry in deep.iterdir():
                entry.unlink()
            deep.rmdir()

    @rule()
    def move_the_directory(self) -> None:
        with suppress(OSError):
            (self.directory / "deep").rename(self.directory / "moved")

    @rule()
    def bring_the_directory_back(self) -> None:
        with suppress(OSError):
            (self.directory / "moved").rename(self.directory / "deep")
        (self.directory / "deep").mkdir(exist_ok=True)

    # ---- what clients do -------------------------------------------------------------------------

    @rule(name=good_names)
    def connect(self, name: str) -> None:
        if self.states().get(name) == State.LISTENING and len(self.clients) < CLIENTS:
            self.clients.append(Client(self.world, name))

    @rule(number=which)
    def begin_a_line(self, number: int) -> None:
        client = self.clients[number % len(self.clients)] if self.clients else None
        if client is not None and client.name in {"line", "deep"} and len(client.begun) < 40:
            client.begin()

    @rule()
    def finish_all_lines(self) -> None:
        for client in self.clients:
            if client.begun:
                client.ask()

    @rule(number=which)
    def half_close(self, number: int) -> None:
        if self.clients:
            self.clients.pop(number % len(self.clients)).end()

    @rule(number=which)
    def vanish_without_reading(self, number: int) -> None:
        if self.clients:
            client = self.clients.pop(number % len(self.clients))
            client.sock.send(b"x\n" * 30)
            client.sock.close()

    @rule(name=good_names)
    def connect_while_there_is_no_descriptor(self, name: str) -> None:
        if self.states().get(name) != State.LISTENING or len(self.clients) >= CLIENTS:
            return
        client = Client(self.world, name)
        self.world.starve()
        self.clients.append(client)

    @rule(name=names)
    def happen_while_there_is_no_descriptor(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)
        self.world.starve(lambda: self.change("restart", name))
        self.let_go(lambda client: client.name == name)

    # ---- what clients of endpoints with faults do ------------------------------------------------

    @rule(name=st.sampled_from(BAD))
    def connect_to_a_bad_one(self, name: str) -> None:
        if self.states().get(name) == State.LISTENING and len(self.hostile) < HOSTILE:
            self.hostile.append(Hostile(self.world, name))

    @rule(number=which, what=st.sampled_from(sorted(ACTIONS)))
    def be_hostile(self, number: int, what: str) -> None:
        if self.hostile:
            self.hostile[number % len(self.hostile)].act(what)

    @rule(number=which)
    def leave_a_bad_one(self, number: int) -> None:
        if self.hostile:
            self.hostile.pop(number % len(self.hostile)).sock.close()

    # ---- what has to be so -----------------------------------------------------------------------

    @invariant()
    def everything_is_in_order(self) -> None:
        self.world.settle()
        assert not self.world.problems, self.world.problems
        self.states_and_reasons_match()
        self.counters_never_fall()
        self.faults_add_up()
        self.connected_clients_are_answered()
        self.a_listening_endpoint_has_its_file()

    def states_and_reasons_match(self) -> None:
        for row in self.world.supervisor.status():
            assert row.state in {"stopped", "listening", "degraded", "failed"}, row
            has_died = row.state == "stopped" and "fault die_after" in (row.error or "")
            assert not has_died or row.name in BAD
            assert (row.error is None) == (row.state in {"stopped", "listening"}) or has_died, row

    def counters_never_fall(self) -> None:
        for row in self.world.supervisor.status():
            fields = vars_of(row)
            counted = row.errors | fields.pop("faults_total")
            now = counted | {key: value for key, value in fields.items() if key.endswith("_total")}
            before = self.counted.get(row.name, {})
            assert all(now[key] >= before[key] for key in before), (before, now)
            self.counted[row.name] = now

    def faults_add_up(self) -> None:
        for row in self.world.supervisor.status():
            done = row.faults_total
            assert row.name in BAD or not done, row
            assert done.get("drop", 0) + done.get("never_reply", 0) <= row.messages_total, row
            most = self.lives * row.accepted_total
            assert all(done.get(fault, 0) <= most for fault in ONCE), (row, self.lives)

    def connected_clients_are_answered(self) -> None:
        for client in list(self.clients):
            if client.type == "datagram" and client.was_left():
                client.sock.close()
                self.clients.remove(client)
            elif not client.begun:
                client.ask()
        rows = [row.endpoint for row in self.world.supervisor.peers()]
        for name in BAD:
            assert rows.count(name) <= sum(each.name == name for each in self.hostile)
        rows = [name for name in rows if name in NAMES]
        assert sorted(rows) == sorted(c.name for c in self.clients if c.type != "datagram")

    def a_listening_endpoint_has_its_file(self) -> None:
        for name, state in self.states().items():
            if state == State.LISTENING:
                status = self.path(name).lstat()
                mode = int(self.chosen[name].get("mode", "0666"), 8)
                assert (stat.S_ISSOCK(status.st_mode), status.st_mode & 0o777) == (True, mode)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for other in self.others:
            other.close()
        self.bring_the_directory_back()
        for path in self.directory.rglob("*.sock"):
            if not path.is_socket():
                path.unlink()
        self.apply({name: {"enabled": True} for name in ALL})
        for name in ALL:
            with suppress(LocalechodError):
                self.world.supervisor.start(name)
        self.world.until(
            lambda: self.states() == dict.fromkeys(ALL, State.LISTENING),
            self.world.supervisor.status,
        )
        self.clients += [Client(self.world, name) for name in NAMES]
        self.restart_everything(amid=True)
        for each in self.hostile:
            each.sock.close()
        for client in self.clients:
            if client.type != "datagram" or not client.was_left():
                client.ask()
        for client in self.clients:
            client.end()
        self.world.end()


def vars_of(row: object) -> dict[str, Any]:
    """Return the fields of a dataclass with slots."""
    return {name: getattr(row, name) for name in type(row).__dataclass_fields__}  # type: ignore[attr-defined]


# The same cases each time: a run that fails now and then helps nobody. `./dev soak` has others.
FEW = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "5")),
    stateful_step_count=40,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_any_calls_and_any_events_in_any_order_leave_the_endpoints_in_order() -> None:
    run_state_machine_as_test(Endpoints, settings=FEW)
