"""Every experiment of the lab has the expected result, for root and for an ordinary user."""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from localechod.lab.catalog import Catalog
from localechod.lab.experiment import Experiment, Judgment, Status, conduct, expected_verdict
from localechod.lab.registry import EXPERIMENTS
from tests.integration.harness import CHECKOUT, DEADLINE, as_user, needs_root, until

RUN = [each for each in EXPERIMENTS if isinstance(each, Experiment)]
PR_SET_DUMPABLE = 4  # linux/prctl.h
TMP = Path("/tmp")  # noqa: S108 - where the lab makes its directories

# For each of these experiments, the line of its transcript that shows the result.
SHOWS = {
    "only-client": "connect failed: No such file or directory (2)",
    "bind-denied": "bind failed: Permission denied (13)",
    "bind-root": "# streamserver $LAB/var-lib/unixstream.sock",
    "client-denied": "connect failed: Permission denied (13)",
    "empty-message": "read() = 0",
    "killed-unread": "read failed: Connection reset by peer (104)",
    "server-killed": "server terminated prematurely",
    "server-killed-idle": "(SIGPIPE)",
    "one-client": "read() = -1 ECONNRESET (Connection reset by peer)",
    "datagram-empty": "client: still running",
    "stream-to-datagram": "connect failed: Protocol wrong type for socket (91)",
    "datagram-to-stream": "sendto failed: Protocol wrong type for socket (91)",
    "no-name": "sendto failed: Transport endpoint is not connected (107)",
    "directory-path": "bind failed: Address already in use (98)",
    "path-too-long": "bind(109 bytes) = -1 EINVAL (Invalid argument)",
    "stream-chunks": r'read() = 6 "g1\ng2\n"',
    "no-handshake": "AF_INET TCP_INFO: segments = 3",
    "full-backlog": "connect() = -1 EAGAIN (Resource temporarily unavailable)",
    "close-unread": "read() = -1 ECONNRESET (Connection reset by peer)",
    "killed-with-request": "read() = -1 ECONNRESET (Connection reset by peer)",
    "relative-elsewhere": 'connect("unixstream.sock") = -1 ENOENT (No such file or directory)',
}


def leftovers() -> set[Path]:
    return set(TMP.glob("localechod-lab-*"))


@pytest.mark.parametrize("experiment", RUN, ids=lambda each: each.name)
def test_an_experiment_has_the_expected_result(experiment: Experiment) -> None:
    result = conduct(experiment)
    assert result.surprises == [], result.transcript
    if result.status is Status.SKIPPED:
        assert result.reason in {"root", "nobody", "unclear"}
        pytest.skip(f"{experiment.name}: {result.reason}")
    assert result.holds == expected_verdict(experiment)
    assert result.transcript
    assert SHOWS.get(experiment.name, result.transcript[0]) in result.transcript
    assert not any("localechod-lab-" in line for line in result.transcript)


@pytest.mark.parametrize("experiment", RUN, ids=lambda each: each.name)
def test_a_claim_is_about_observed_facts(
    experiment: Experiment,
) -> None:
    """A predicted fact that is never observed would make any claim fail."""
    assert set(experiment.claimed) <= set(experiment.expected)
    assert experiment.holds(experiment.claimed or experiment.expected)


def test_these_claims_do_not_hold_and_all_others_do() -> None:
    assert {each.name for each in EXPERIMENTS if not expected_verdict(each)} == {
        "renamed",
        "rpc",
        "unlink-destroys",
        "unlink-steals",
        "path-too-long",
        "abstract",
        "one-client",
        "stream-chunks",
        "fixed-records",
        "absolute-required",
        "equals-sign",
        "same-as-kubernetes",
        "server-killed-idle",
        "read-write",
        "path-needed",
        "left-behind",
        "tmpnam-race",
        "datagram-leaving",
        "datagram-empty",
        "empty-message",
        "killed-unread",
        "full-backlog",
        "half-close",
        "close-unread",
        "killed-with-request",
        "lost-datagram",
    }


def test_judgments_are_not_run() -> None:
    judged = [each for each in EXPERIMENTS if isinstance(each, Judgment)]
    for each in judged:
        result = conduct(each)
        assert (result.status, result.holds) == (Status.JUDGED, each.verdict)
    assert {"x-window", "shared-memory"} <= {each.name for each in judged}


def lab(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "localechod.ctl", "lab", *words],
        capture_output=True,
        text=True,
        timeout=4 * DEADLINE,
        check=False,
        cwd=CHECKOUT,
        env={**os.environ, "COLUMNS": "80", "LC_ALL": "C.UTF-8", **environ},
    )


def test_the_whole_lab_has_no_surprises() -> None:
    done = lab("--json")
    assert done.returncode == 0, done.stdout + done.stderr
    entries = json.loads(done.stdout)
    skipped = {line.partition(":")[0] for line in done.stderr.splitlines()}
    assert {entry["name"] for entry in entries} | skipped == {each.name for each in EXPERIMENTS}
    for entry in entries:
        assert set(entry) == {
            *("name", "claim", "holds", "observed", "why"),
            *("section", "status", "surprises"),
        }
        assert isinstance(entry["holds"], bool)
        assert entry["observed"]
        assert entry["surprises"] == []


def test_the_lab_prints_chinese_in_a_chinese_locale() -> None:
    done = lab("only-client", LC_ALL="zh_CN.UTF-8", PYTHONUTF8="1")
    text = Catalog.load("zh").experiments["only-client"]
    assert done.returncode == 0
    assert f"only-client: {text.title}\n" in done.stdout
    assert "connect failed: No such file or directory (2)\n" in done.stdout
    assert lab("only-client", "--lang", "zh").stdout == done.stdout


@needs_root
def test_an_ordinary_user_has_no_surprises() -> None:
    """Without the daemon's experiment: that user may lack permission for the interpreter."""
    import_module("encodings.idna")
    before = leftovers()
    libc = ctypes.CDLL(None)

    def everything() -> int:
        # A change of ids makes a process undumpable: its new user cannot see its descriptors.
        # No login does that.
        libc.prctl(PR_SET_DUMPABLE, 1)
        results = [conduct(each) for each in RUN if each.name != "grpc"]
        skipped = {each.name for each in results if each.status is Status.SKIPPED}
        assert skipped - {"faster-than-tcp", "faster-than-udp"} == {"bind-root"}
        return sum(bool(each.surprises) for each in results)

    assert as_user(65534, [], everything) == 0
    assert not {path for path in leftovers() - before if path.stat().st_uid == 65534}


def test_ctrl_c_leaves_neither_processes_nor_files() -> None:
    """The lab is interrupted during an experiment that would wait."""
    script = (
        "import sys\n"
        "from localechod.lab.experiment import Experiment, conduct\n"
        "def run(sandbox):\n"
        "    server = sandbox.program('streamserver', 'x.sock')\n"
        "    server.read_line()\n"
        "    print(sandbox.directory, server.pid, flush=True)\n"
        "    server.wait()\n"
        "conduct(Experiment('x', run, {}))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=CHECKOUT,
    ) as process:
        assert process.stdout is not None
        directory, pid = process.stdout.readline().split()
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == -signal.SIGINT
    assert not Path(directory).exists()
    assert not Path(f"/proc/{pid}").exists()


def test_the_processes_of_a_killed_lab_are_killed() -> None:
    script = (
        "from localechod.lab.sandbox import Sandbox\n"
        "with Sandbox() as sandbox:\n"
        "    server = sandbox.program('streamserver', 'x.sock')\n"
        "    server.read_line()\n"
        "    print(sandbox.directory, server.pid, flush=True)\n"
        "    server.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as process:
        assert process.stdout is not None
        directory, pid = process.stdout.readline().split()
        process.kill()
    status = Path(f"/proc/{pid}/status")
    until(lambda: not status.exists() or bool(re.search(r"State:\s+Z", status.read_text())))
    shutil.rmtree(directory)
