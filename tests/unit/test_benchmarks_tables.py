"""A run in the documentation: only measured servers are shown."""

from benchmarks.measure import Sample
from benchmarks.results import Machine, Outcome, Run
from benchmarks.scenarios import BEFORE, OURS, POLLING, RIVALS
from benchmarks.servers import PURE
from benchmarks.tables import blocks, pictures

MACHINE = Machine("a processor", 2, "6.1", "CPython 3.11.2", 0.0)


def outcome(name: str, **rates: float) -> Outcome:
    servers = {"C epoll": [Sample(100.0, 2.0)] * 2}
    for server, rate in rates.items():
        servers[server] = [Sample(rate, None if "cat" in server else 3.25)] * 2
    return Outcome(name, "C epoll", servers)


def run(*outcomes: Outcome) -> Run:
    return Run(MACHINE, 2, 1.0, list(outcomes))


PLAIN = outcome("plain", **{OURS: 80.0, RIVALS[0]: 75.0})
TODAY = outcome("all", **{OURS: 80.0, "socat PIPE": 20.0, "ncat cat": 10.0, "s6-ipcserver cat": 40})
POLLS = outcome("one", **{f"{POLLING}0": 95.0, f"{POLLING}50": 280.0})


def test_a_row_has_ratios_to_c_and_the_cost_of_a_message() -> None:
    lines = blocks(run(PLAIN))["servers"].splitlines()[2:]
    assert lines[0] == "|  | localechod | pure Python | asyncio Protocol | µs |"
    assert lines[2] == "| plain | 0.80 (0.80 - 0.80) |  | 0.75 (0.75 - 0.75) | 2.0 / 3.2 |"
    assert lines[-1] == "2 rounds of 1 s; " + str(MACHINE) + "."


def test_another_server_in_c_has_a_sentence() -> None:
    rivals = outcome("many", **{OURS: 80.0, PURE: 60.0, "C recvmmsg": 104.0})
    lines = blocks(run(rivals))["servers"].splitlines()
    assert "| 0.60 (0.60 - 0.60) |  |" in lines[4]
    assert lines[6] == "C recvmmsg in many: 1.04 (1.04 - 1.04)."


def test_another_checkout_is_not_on_the_page() -> None:
    found = outcome("plain", **{OURS: 80.0, BEFORE: 70.0})
    assert BEFORE not in blocks(run(found))["servers"]
    assert BEFORE not in pictures(run(found))["servers"]


def test_common_programs_are_sorted_by_rate() -> None:
    lines = blocks(run(PLAIN, TODAY))["today"].splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        "| s6-ipcserver cat", "| socat PIPE", "| ncat cat"
    ]  # fmt: skip
    assert "| 0.10 (0.10 - 0.10) | 8.00 (8.00 - 8.00) |" in lines[4]


def test_common_programs_in_other_scenarios_have_a_sentence() -> None:
    rates = {OURS: 80.0, "redis-server, ECHO": 60.0}
    found = blocks(
        run(outcome("raw", **rates, **{"socat PIPE": 20.0}), outcome("connect", **rates))
    )
    rows = [line for line in found["today"].splitlines() if "redis" in line]
    assert rows == ["| redis-server, ECHO | 0.60 (0.60 - 0.60) | 1.33 (1.33 - 1.33) |"]
    sentences = [line for line in found["servers"].splitlines() if "redis" in line]
    assert sentences == ["redis-server, ECHO in connect: 0.60 (0.60 - 0.60)."]


def test_each_setting_has_a_column() -> None:
    lines = blocks(run(POLLS))["polling"].splitlines()[2:]
    assert lines[0] == "|  | busy_poll_us = 0 | busy_poll_us = 50 | µs |"
    assert lines[2] == "| one | 0.95 (0.95 - 0.95) | 2.80 (2.80 - 2.80) | 2.0 / 3.2 / 3.2 |"


def test_tables_and_pictures_without_measurements_are_omitted() -> None:
    assert set(blocks(run(PLAIN))) == {"servers"}
    assert "](pictures/performance-servers.svg)" in blocks(run(PLAIN))["servers"]
    assert set(pictures(run(PLAIN))) == {"servers"}
    assert set(blocks(run(POLLS))) == {"polling"}
    assert set(pictures(run(POLLS, TODAY))) == {
        "servers", "today", "polling"
    }  # fmt: skip
    assert blocks(run()) == pictures(run()) == {}


def test_a_picture_names_its_servers() -> None:
    found = pictures(run(POLLS, TODAY))
    assert "ncat cat" in found["today"]
    assert "ncat cat" not in found["servers"]
    assert "busy_poll_us = 50" in found["polling"]
