"""Every fault, for every type that it fits: met by a client, shown, counted, told, changed live."""

import json
import re

import pytest

from localechod.config import default_text
from localechod.config.faults import FITS
from tests.integration.fault_trials import KEYS, TRIALS, TYPES, Peer, ask, configuration, fits
from tests.integration.harness import CHECKOUT, Daemon

GOOD = '[endpoints.good]\ntype = "stream"\nmode = "0666"\n'
KINDS = pytest.mark.parametrize("kind", TYPES)


def peers(daemon: Daemon, kind: str) -> dict[str, Peer]:
    return {key: Peer(daemon, f"{key}-{kind}", kind) for key in KEYS if fits(key, kind)}


def reload(daemon: Daemon, kind: str, *, faulty: bool) -> None:
    daemon.configure(configuration(kind, faulty=faulty) + GOOD)
    done = daemon.ctl("reload")
    assert done.returncode == 0, done.stderr


def counted(key: str, kind: str, times: int) -> dict[str, int]:
    """Return what is counted after so many trials; a datagram that is not read counts nowhere."""
    fault = TRIALS[key].counts
    return {} if (fault, kind) in {("", kind), ("never_read", "datagram")} else {fault: times}


def test_the_table_of_the_manual_has_each_key_and_the_types_that_it_fits() -> None:
    page = (CHECKOUT / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = page.partition("## [endpoints.NAME.faults]")[2].partition("\n## ")[0]
    rows = re.findall(r"(?m)^\| `(\w+)` \|.*\| ([^|]+) \|$", section)
    assert [key for key, _ in rows] == [*KEYS, "seed"]
    for key, types in rows:
        named = [kind for kind in TYPES if kind in types] or list(TYPES)
        assert named == [kind for kind in TYPES if fits(key, kind)], key
    assert list(TRIALS) == list(KEYS)


@KINDS
def test_every_fault_that_fits_is_met_counted_told_and_changed_live(
    either: Daemon, kind: str
) -> None:
    either.configure(configuration(kind) + GOOD)
    either.start()
    tried = peers(either, kind)
    for times in (1, 2):
        for key, peer in tried.items():
            TRIALS[key].meets(peer)
        rows = either.rows()
        for key, peer in tried.items():
            assert rows[peer.name]["faults_total"] == counted(key, kind, times), key
            assert key in rows[peer.name]["faults"]
        reload(either, kind, faulty=False)
        assert either.ctl("start", tried["die_after"].name).returncode == 0
        for key, peer in tried.items():
            with peer.connect() as sock:
                assert ask(sock) == b"ab\n", key
        assert not any(row["faults"] for row in either.rows().values())
        reload(either, kind, faulty=True)
    metrics = either.ctl("metrics").stdout
    for key, peer in tried.items():
        labels = f'endpoint="{peer.name}",type="{kind}"'
        for fault, times in counted(key, kind, 2).items():
            assert f'localechod_faults_total{{{labels},fault="{fault}"}} {times}' in metrics
    # A user's lines are limited: five in a second, and each fault once in ten.
    events = [json.loads(line) for line in either.ctl("events", "--json").stdout.splitlines()]
    told = [(each["endpoint"], each["text"]) for each in events if each["kind"] == "fault"]
    assert len(told) >= 5
    for endpoint, text in told:
        fault = TRIALS[endpoint.partition("-")[0]].counts
        assert re.fullmatch(rf"fault {fault}: connection \d+, message \d+.*", text)
    assert any("fault die_after: it has died, after 1 messages" in each["text"] for each in events)


@KINDS
def test_a_fault_that_does_not_fit_the_type_is_refused_by_its_name(
    daemon: Daemon, kind: str
) -> None:
    refused = [key for key in KEYS if not fits(key, kind)]
    assert len(refused) == {"stream": 3, "seqpacket": 2, "datagram": 9}[kind]
    for key in refused:
        daemon.configure(
            f'[endpoints.bad]\ntype = "{kind}"\n'
            f"faults = {{ {TRIALS[key].faults.split(', ')[-1]} }}\n"
        )
        done = daemon.ctl("config", "check", str(daemon.config))
        assert done.returncode != 0
        types = " or ".join(FITS[key][0])
        assert f"endpoints.bad.faults.{key} = " in done.stderr
        assert f": only for {types}: " in done.stderr


def test_the_bad_endpoint_of_the_shipped_file_serves_as_its_comment_says(daemon: Daemon) -> None:
    daemon.configure(GOOD)
    daemon.start()
    commented = re.findall(r"(?ms)^# \[endpoints\.flaky\].*?\}$", default_text())
    daemon.configure(GOOD + "".join(commented).replace("# ", "", 1).replace("\n# ", "\n"))
    assert daemon.ctl("reload").returncode == 0
    assert daemon.ctl("send", "flaky", "hello").stdout == "Hi, hello\n"
    assert daemon.row("flaky")["faults_total"] == {"delay": 1, "pieces": 1}
