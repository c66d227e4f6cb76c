"""localechoctl as a whole: its imports, its errors, and completion."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from localechod import __version__
from localechod.ctl import app
from localechod.ctl.app import COMMANDS, build, run
from localechod.ctl.group import LazyCommand
from localechod.errors import ConfigError, LocalechodError

ROOT = Path(__file__).parents[2]
HEAVY = ("asyncio", "google.protobuf", "grpclib", "msgspec", "pydantic", "rich")


def program(
    *words: str, stdin: bytes = b"", **environ: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run localechoctl as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "localechod.ctl", *words],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "COLUMNS": "80", **environ},
        cwd=ROOT,
    )


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (["send", "/nonexistent/x", "hi"], []),
        (["explain", "/nonexistent/x"], []),
        (["sockets", "/nonexistent/x"], []),
        (["--control", "/nonexistent/x", "status"], ["google.protobuf"]),
        (["--help"], []),
        (["send", "--help"], []),
        (["--version"], []),
    ],
)
def test_a_command_loads_only_what_it_needs(words: list[str], loaded: list[str]) -> None:
    script = (
        "import sys\n"
        "from localechod.ctl.app import run\n"
        f"run({words!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        timeout=60,
        cwd=ROOT,
        # Measuring coverage loads modules of its own.
        env={name: text for name, text in os.environ.items() if not name.startswith("COV")},
    )
    assert done.stderr.decode().splitlines()[-1] == str(loaded)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_is_in_its_module(name: str) -> None:
    assert callable(LazyCommand(name, COMMANDS[name]).load())


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert re.search(rf"(?m)^ +(.*\| )?localechoctl {name}\b", text), text
    assert max(map(len, text.splitlines())) <= 80


def test_the_list_of_commands_shows_each_with_its_summary(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert re.search(rf"(?m)^  {name} +{re.escape(entry.summary)}$", text)
    assert "\n      localechoctl send stream hello\n" in text


def test_the_version_is_printed_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"localechoctl {__version__}\n"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigError("bad", "mend it"), 78, "bad; mend it\n"),
        (LocalechodError("failed"), 1, "failed\n"),
        (OSError(24, "Too many open files"), 1, "failed: Too many open files (24)\n"),
        (OSError(2, "Gone", "/run/a\nb"), 1, "failed: Gone (2): /run/a\\nb\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_one_line_and_an_exit_status(
    *,
    error: BaseException,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command() -> None:
        raise error

    monkeypatch.setattr("localechod.ctl.commands.version.version", command)
    assert run(["version"]) == status
    assert capsys.readouterr().err == line


def test_a_command_may_choose_its_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise typer.Exit(5)

    monkeypatch.setattr("localechod.ctl.commands.version.version", command)
    assert run(["version"]) == 5


def test_ctrl_c_while_the_commands_are_built_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "build", interrupted)
    assert run([]) == 130
    assert capsys.readouterr().err == ""


def test_ctrl_c_while_waiting_is_quiet(sockdir: Path) -> None:
    path = str(sockdir / "silent")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(30)
        waiting = subprocess.Popen(
            [sys.executable, "-m", "localechod.ctl", "send", path, "hello"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(30)
            assert peer.recv(100) == b"hello\n"
            waiting.send_signal(signal.SIGINT)
            out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out, err) == (130, b"", b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_ends_it_quietly(unbuffered: str) -> None:
    """As with `| head -1`; the pipe is closed before the first line is written."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert default_to(writing, unbuffered) == (1, b"")
    finally:
        os.close(writing)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_standard_output_is_one_line(unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        status, errors = default_to(full.fileno(), unbuffered)
    assert (status, errors) == (1, b"failed: No space left on device (28)\n")


def default_to(output: int, unbuffered: str) -> tuple[int, bytes]:
    """Print the default configuration to a descriptor; buffered, it fails at the end only."""
    done = subprocess.run(
        [sys.executable, "-m", "localechod.ctl", "config", "default"],
        stdout=output,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    return done.returncode, done.stderr


def test_a_locale_without_a_character_shows_its_number(sockdir: Path) -> None:
    file = sockdir / "配置.toml"
    file.write_text('version = 1\n[endpoints.a]\ntype = "stream"\n')
    done = program("config", "check", str(file), PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout == f"{sockdir}/\\u914d\\u7f6e.toml: ok\n".encode()


def write_catalog(directory: Path, *names: str) -> None:
    rows = [
        {"name": name, "type": "stream", "path": f"/x/{name}", "framing": "line", "record_size": 9}
        for name in names
    ]
    (directory / "endpoints.json").write_text(json.dumps({"endpoints": rows}))


def complete(line: str) -> list[str]:
    """Return the completions that bash gets for the last word of a line."""
    words = line.split(" ")
    done = program(
        _LOCALECHOCTL_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)
    )
    assert done.stderr == b""
    return done.stdout.decode().split()


def test_the_tab_key_completes_commands_and_options() -> None:
    assert complete("localechoctl st") == ["status", "start", "stop"]
    assert complete("localechoctl send --t") == ["--type", "--timeout"]
    assert complete("localechoctl send --type s") == ["stream", "seqpacket"]


def test_the_tab_key_completes_endpoints_from_the_catalog(sockdir: Path) -> None:
    write_catalog(sockdir, "stream", "seqpacket", "datagram")
    ctl = f"localechoctl --control {sockdir}/control.sock"
    assert complete(f"{ctl} send s") == ["stream", "seqpacket"]
    assert complete(f"{ctl} explain d") == ["datagram"]
    assert complete(f"{ctl} stop ") == ["stream", "seqpacket", "datagram"]
    assert complete(f"{ctl} stop stream s") == ["seqpacket"]


def test_the_tab_key_offers_no_name_with_control_characters(sockdir: Path) -> None:
    write_catalog(sockdir, "s\x1b[2J", "s\nforged", "stream")
    assert complete(f"localechoctl --control {sockdir}/control.sock send s") == ["stream"]


def test_the_tab_key_offers_nothing_without_a_catalog(sockdir: Path) -> None:
    assert complete(f"localechoctl --control {sockdir}/control.sock send s") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_each_shell_asks_this_program(shell: str) -> None:
    done = program("--show-completion", _LOCALECHOCTL_COMPLETE=f"source_{shell}")
    assert done.returncode == 0
    assert b"_LOCALECHOCTL_COMPLETE=complete_" + shell.encode() in done.stdout


@pytest.mark.parametrize("name", ["status", "send", "stop"])
def test_the_usage_line_shows_arguments_as_manuals_do(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, "--help"]) == 0
    usage, _, rest = capsys.readouterr().out.partition("\n")
    assert re.search(r" (\[[A-Z]+\]|\{[A-Z]+\})\.\.\.$", usage), usage
    assert "list[str]" not in rest


def test_a_group_of_commands_lists_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--help"]) == 0
    assert re.search(r"(?m)^  check +Validate a file", capsys.readouterr().out)


def test_a_command_is_imported_when_it_is_invoked_and_not_before() -> None:
    group = build()
    assert group.get_command(typer.Context(group), "send") is group.commands["send"]
    _, command, rest = group.resolve_command(typer.Context(group), ["send", "stream", "x"])
    assert command is not group.commands["send"]
    assert [param.name for param in command.params][:2] == ["target", "messages"]
    assert rest == ["stream", "x"]
