"""A run as the documentation shows it: what was not measured is not shown."""

from benchmarks.measure import Figure
from benchmarks.results import Machine, Outcome, Run
from benchmarks.scenarios import OURS, POLLING, RIVALS
from benchmarks.servers import PURE
from benchmarks.tables import drawn, written

MACHINE = Machine("a processor", 2, "6.1", "CPython 3.11.2", 0.0)


def outcome(name: str, **rates: float) -> Outcome:
    servers = {"C epoll": [Figure(100.0, 2.0)] * 2}
    for server, rate in rates.items():
        servers[server] = [Figure(rate, None if "cat" in server else 3.25)] * 2
    return Outcome(name, "C epoll", servers)


def run(*outcomes: Outcome) -> Run:
    return Run(MACHINE, 2, 1.0, list(outcomes))


PLAIN = outcome("plain", **{OURS: 80.0, RIVALS[0]: 75.0})
TODAY = outcome("all", **{OURS: 80.0, "socat PIPE": 20.0, "ncat cat": 10.0, "s6-ipcserver cat": 40})
POLLS = outcome("one", **{f"{POLLING}0": 95.0, f"{POLLING}50": 280.0})


def test_ratios_to_c_and_what_a_message_costs_both() -> None:
    lines = written(run(PLAIN))["servers"].splitlines()[2:]
    assert lines[0] == "|  | localechod | pure Python | uvloop Protocol | asyncio Protocol | µs |"
    assert lines[2] == "| plain | 0.80 (0.80 - 0.80) |  | 0.75 (0.75 - 0.75) |  | 2.0 / 3.2 |"
    assert lines[-1] == "2 rounds of 1 s; " + str(MACHINE) + "."


def test_another_server_in_c_is_not_forgotten() -> None:
    rivals = outcome("many", **{OURS: 80.0, PURE: 60.0, "C recvmmsg": 104.0})
    lines = written(run(rivals))["servers"].splitlines()
    assert "| 0.60 (0.60 - 0.60) |  |  |" in lines[4]
    assert lines[6] == "C recvmmsg in many: 1.04 (1.04 - 1.04)."


def test_what_people_use_is_told_from_the_quickest_on() -> None:
    lines = written(run(PLAIN, TODAY))["today"].splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        "| s6-ipcserver cat", "| socat PIPE", "| ncat cat"
    ]  # fmt: skip
    assert "| 0.10 (0.10 - 0.10) | 8.00 (8.00 - 8.00) |" in lines[4]


def test_settings_are_beside_each_other() -> None:
    lines = written(run(POLLS))["polling"].splitlines()[2:]
    assert lines[0] == "|  | busy_poll_us = 0 | busy_poll_us = 50 | µs |"
    assert lines[2] == "| one | 0.95 (0.95 - 0.95) | 2.80 (2.80 - 2.80) | 2.0 / 3.2 / 3.2 |"


def test_what_was_not_measured_is_neither_written_nor_drawn() -> None:
    assert set(written(run(PLAIN))) == {"servers"}
    assert "](pictures/performance-servers.svg)" in written(run(PLAIN))["servers"]
    assert set(drawn(run(PLAIN))) == {"servers"}
    assert set(written(run(POLLS))) == {"polling"}
    assert set(drawn(run(POLLS, TODAY))) == {
        "servers", "today", "polling"
    }  # fmt: skip
    assert written(run()) == drawn(run()) == {}


def test_a_picture_names_whom_it_shows() -> None:
    pictures = drawn(run(POLLS, TODAY))
    assert "ncat cat" in pictures["today"]
    assert "ncat cat" not in pictures["servers"]
    assert "busy_poll_us = 50" in pictures["polling"]
