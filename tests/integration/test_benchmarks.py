"""The benchmarks run; no test asserts a speed."""

import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.servers import BUILD, build
from tests.integration.harness import needs_root

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the servers")
@pytest.mark.parametrize("scenario", ["seqpacket", "datagram, 1 client", "16 at a time"])
def test_a_scenario_has_a_row_for_the_baseline_and_one_for_localechod(scenario: str) -> None:
    command = [sys.executable, "-m", "benchmarks", "--repeats", "1", "--seconds", "0.05", scenario]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    names = [line[2:32].strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert "localechod" in names
    assert any(name.startswith("C ") for name in names)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the servers")
@pytest.mark.parametrize(
    ("args", "shown"),
    [
        pytest.param(
            ["growth", "--repeats", "1", "--seconds", "0.02"],
            "An endpoint without traffic costs",
            marks=needs_root,  # for the memory of a daemon that is not dumpable
        ),
        pytest.param(["ready", "--runs", "1"], "| `localechod` | ", marks=needs_root),
        (["idle", "--seconds", "0.1"], "| 30 s | 1,000 | "),
        (["fairness", "--repeats", "1", "--seconds", "0.05"], "| localechod | 99th percentile | "),
        (["explain", "--rounds", "1", "--processes", "3"], "| `localechoctl peers PATH` | "),
    ],
    ids=["growth", "ready", "idle", "fairness", "explain"],
)
def test_results_are_kept_and_printed_again(args: list[str], shown: str, tmp_path: Path) -> None:
    if args[0] in {"ready", "idle"}:
        pytest.importorskip("systemd.daemon", reason="the daemon cannot notify its manager")
    file = str(tmp_path / "kept.json")
    module, *rest = args
    for arguments in ([*rest, "--json", file], ["--from", file]):
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        done = subprocess.run(
            command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        assert shown in done.stdout


def test_an_unknown_scenario_is_an_error_of_one_line() -> None:
    command = [sys.executable, "-m", "benchmarks", "no such thing"]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no such scenario; there are: raw stream")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the servers")
def test_a_scenario_can_be_measured_beside_another_checkout() -> None:
    options = ["--repeats", "1", "--seconds", "0.05", "--against", str(ROOT), "seqpacket"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "  localechod before  " in done.stdout
    assert "  localechod, relative to before: " in done.stdout


# Runs each program, as another process might, while the compiler has its file open for writing.
COMPILER = """#!/bin/sh
{cc} "$@" || exit
while [ "$1" != -o ]; do shift; done
exec 3>>"$2"
{build}/${{2##*/}} 3>&-
[ $? != 126 ]
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the servers")
def test_the_programs_can_be_executed_while_another_process_compiles_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build()
    compiler = tmp_path / "cc"
    compiler.write_text(COMPILER.format(cc=shutil.which("cc"), build=BUILD))
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    build()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the load")
@pytest.mark.parametrize(
    ("length", "reason"),
    [("3", "load: replies of more than 3 bytes\n"), ("4", ""), ("5", "")],
)
def test_the_load_counts_replies_of_the_expected_length(
    length: str, reason: str, tmp_path: Path
) -> None:
    build()
    path = str(tmp_path / "echo.sock")
    arguments = ("-m", "abc\n", "-r", length, "stream", path, "1", "64", "1", "0.05")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with subprocess.Popen(
            [BUILD / "load", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as load:  # fmt: skip
            client = listener.accept()[0]
            with client, suppress(ConnectionError):  # the load ends with a reply unread
                while request := client.recv(100):
                    assert request == b"abc\n"
                    client.send(request)
            output, error = load.communicate(timeout=20)
    assert error == reason
    assert load.returncode == bool(reason)
    assert reason or (int(output.split()[1]) > 0) == (length == "4")
