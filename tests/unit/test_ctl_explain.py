"""localechoctl explain: pages as they look, the documented JSON, exit statuses, and bad input."""

import json
import os
import pty
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from localechod.ctl import app
from localechod.ctl.commands.explain import as_json, as_text
from localechod.explain.absence import Absence
from localechod.explain.ancestry import Relative
from localechod.explain.beside import Beside
from localechod.explain.confinement import Confinement
from localechod.explain.dead_mounts import DeadMount
from localechod.explain.facts import Facts
from localechod.explain.listings import Listing
from localechod.explain.lost import Lost
from localechod.explain.processes import HoldingProcess
from localechod.explain.report import judge
from localechod.explain.sandbox import Sandbox
from localechod.explain.security import Security
from localechod.explain.selinux import Refusal
from localechod.host import runtime
from tests.golden_pages import compare
from tests.integration.harness import needs_root
from tests.unit.explain_fakes import DOCKERD, client, docker, listener, missing, step, walk

FAMILY = (
    Relative(80, "bash", 5, frozenset({60}), "session-3.scope"),
    Relative(70, "tmux: server", 5, frozenset({60}), "session-3.scope"),
    Relative(1, "systemd", 0, frozenset({0}), "init.scope"),
)
PAGES = {
    "denied": docker(),
    "allowed": docker(client(5, 50)),
    "full": docker(client(5, 50), listing=Listing((listener(queue=4097),))),
    "stale": docker(client(5, 50), listing=Listing(unsearched=2)),
    "selinux": docker(
        client(5, 50),
        security=Security(
            "SELinux",
            "user_u:user_r:user_t:s0",
            ("system_u:system_r:container_runtime_t:s0",),
            "system_u:object_r:container_var_run_t:s0",
            (
                Refusal(
                    b"",
                    "user_u:user_r:user_t:s0 has no permission connectto on unix_stream_socket "
                    "system_u:system_r:container_runtime_t:s0",
                ),
            ),
        ),
    ),
    "apparmor": docker(
        client(5, 50), security=Security("AppArmor", "docker-default (enforce)", ("unconfined",))
    ),
    "filter": docker(replace(client(5, 50), pid=77), pid=77, sandbox=Sandbox(unread=1)),
    "missing": missing(),
    "steps": replace(
        docker(pid=77, family=FAMILY, activation=None, holders=(DOCKERD,)),
        walk=walk(
            step("/srv/app data", stat.S_IFDIR | 0o700),
            end=step("/srv/app data/api.sock", stat.S_IFSOCK | 0o660, 0, 50),
        ),
    ),
    "container": docker(replace(client(), is_foreign=True), pid=77),
    "agent": replace(
        docker(holders=(HoldingProcess(812, "daemon", "ssh-agent", ""),), activation=None),
        walk=walk(
            step("/run/agents", stat.S_IFDIR | 0o700, 1),
            end=step("/run/agents/agent", stat.S_IFSOCK | 0o600, 1),
        ),
    ),
    "mount": replace(
        missing(),
        absence=Absence(DeadMount(b"/run", b"/run/docker", "docker.service", "caller.service")),
    ),
    "lost": replace(
        missing(),
        absence=Absence(
            lost=Lost(0, DOCKERD, "mount namespace", unit="docker.service", private_tmp=True)
        ),
    ),
    "confined": replace(
        missing(),
        confinement=Confinement(
            b"/run",
            is_closed=True,
            unit="caller.service",
            setting="InaccessiblePaths",
            value="/run /srv",
        ),
        outside=docker(),
    ),
    "beside": replace(missing(), absence=Absence(beside=(Beside(b"/run/docker/docker.sock", 0),))),
    "session": docker(client(login_groups=(50,)), family=FAMILY),
}


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_reviewed(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    report = judge(PAGES[name])
    page = as_text(report) + "\n"
    commands = report.verdict.remedy.commands  # never broken: they are typed as they stand
    prose = (line for line in page.splitlines() if line.strip() not in commands)
    assert max(map(len, prose)) <= columns
    compare(f"explain-{name}-{columns}", page)


def test_into_a_pipe_every_check_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    report = judge(PAGES["selinux"])
    lines = as_text(report).splitlines()
    assert len(lines) == len(report.checks) + 5


def test_a_very_narrow_terminal_breaks_the_lines_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    report = judge(PAGES["denied"])
    assert len(as_text(report).splitlines()) == len(report.checks) + 8


def test_json_has_exactly_the_documented_keys() -> None:
    document = as_json(judge(docker()))
    checks, holders = document.pop("checks"), document.pop("holders")
    assert document == {
        "path": "/var/run/docker.sock",
        "as": "games",
        "type": "stream",
        "errno": 13,
        "verdict": "connect fails: Permission denied (13): games may not write to it, by the bits "
        "for others, and connect needs that",
        "served": None,
        "remedy": "add games to group staff; then log in again",
        "commands": ["usermod -aG staff games"],
        "caveats": ["a client of dockerd can become root"],
    }
    assert checks[0] == {"name": "name", "result": "ok", "detail": "20 of 107 bytes"}
    assert holders[1] == {
        "pid": 812,
        "user": "root",
        "command": "dockerd",
        "unit": "docker.service",
    }


def test_an_unknown_value_is_null() -> None:
    document = as_json(judge(docker(client(5, 50), security=Security("SELinux"))))
    assert document["errno"] is None
    assert document["caveats"] == ["SELinux: client unknown: the policy may deny it"]
    document = as_json(judge(missing()))
    assert (document["type"], document["holders"]) == (None, [])
    assert as_json(judge(docker(client(5, 50))))["remedy"] is None


@pytest.fixture
def listening(sockdir: Path) -> Iterator[Path]:
    path = sockdir / "control.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        yield path


def run(path: Path, *words: str) -> int:
    return app.run(["--control", str(path), "explain", *words])


def test_the_exit_status_says_whether_a_client_can_connect(
    listening: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(listening, str(listening)) == 0
    assert run(listening, f"{listening}.not") == 1

    def likely(_: object) -> Facts:
        return docker(client(5, 50), security=Security("SELinux"))

    def unknown(_: object) -> Facts:
        return PAGES["stale"]

    for gather, status in ((likely, 6), (unknown, 5)):
        monkeypatch.setattr("localechod.explain.report.gather", gather)
        assert run(listening, str(listening)) == status
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "unknown: cannot tell whether connect works" in shown.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([""], "the address is empty"),
        (["@"], "the abstract name is empty"),
        (["/x", "--as", "nosuch"], "no such user: nosuch"),
        (["/x", "--pid", "0"], "--pid 0: not a process id"),
        (["/x", "--pid", "4194304"], "no such process: 4194304"),
        (["/x", "--pid", "99999999999999999999"], "not a process id"),
        (["nosuch"], "no endpoint is named nosuch; the endpoints are: "),
    ],
)
def test_bad_input_is_one_line_and_a_usage_error(
    sockdir: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert run(sockdir / "control.sock", *words) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert len(shown.err.splitlines()) == 1
    assert not shown.out


def catalog(directory: Path, **paths: Path) -> None:
    rows = [
        {"name": name, "type": "stream", "path": str(path), "framing": "line", "record_size": 9}
        for name, path in paths.items()
    ]
    (directory / runtime.CATALOG).write_text(json.dumps({"endpoints": rows}), encoding="utf-8")


def test_without_a_target_the_control_socket_and_endpoints_that_do_not_listen_are_explained(
    listening: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = listening.with_name("gone.sock")
    catalog(listening.parent, well=listening, gone=gone)
    assert run(listening) == 1
    shown = capsys.readouterr().out
    headings = [line for line in shown.splitlines() if line.endswith(")") and ": /" in line]
    who = shown.partition("(as ")[2].partition(")")[0]
    assert f"control socket: {listening} (as {who})" in headings
    assert f"gone: {gone} (as {who})" in headings
    assert "well: " not in shown
    assert run(listening, "--json") == 1
    documents = json.loads(capsys.readouterr().out)
    assert [each["path"] for each in documents] == [str(listening), str(gone)]
    assert [each["errno"] for each in documents] == [0, 2]


def test_with_the_daemon_down_endpoints_come_from_the_configuration(
    sockdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = sockdir / "localechod.toml"
    file.write_text(
        'version = 1\n[endpoints.a]\ntype = "stream"\n'
        '[endpoints.b]\ntype = "datagram"\npath = "@b"\n'
        '[endpoints.off]\ntype = "stream"\nenabled = false\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(runtime, "config_file", lambda _, **__: file)
    assert run(sockdir / "control.sock", "--json") == 1
    documents = json.loads(capsys.readouterr().out)
    paths = [each["path"] for each in documents]
    assert paths == [f"{sockdir}/control.sock", f"{sockdir}/a.sock", "@b"]
    assert [each["type"] for each in documents] == ["stream", "stream", "datagram"]
    assert run(sockdir / "control.sock", "a", "--json") == 1
    assert json.loads(capsys.readouterr().out)["path"] == f"{sockdir}/a.sock"


def test_a_broken_configuration_is_reported_and_the_control_socket_explained(
    sockdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = sockdir / "localechod.toml"
    file.write_text("version = 2\n", encoding="utf-8")
    monkeypatch.setattr(runtime, "config_file", lambda _, **__: file)
    assert run(sockdir / "control.sock") == 1
    shown = capsys.readouterr()
    assert f"{file}: version" in shown.err
    assert "control socket: " in shown.out


@needs_root
def test_a_check_can_be_for_a_user_or_a_process(
    listening: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listening.chmod(0o600)
    assert run(listening, str(listening), "--as", "games", "--probe") == 1
    shown = capsys.readouterr().out
    assert "(as games)" in shown
    assert "connect failed: Permission denied (13)" in shown
    assert run(listening, str(listening), "--pid", str(os.getpid()), "--probe") == 0
    assert f"(as root, seen from process {os.getpid()})" in capsys.readouterr().out


@needs_root
def test_a_name_full_of_escapes_forges_nothing(
    sockdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sockdir / "x\nok       probe\x1b[31m"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        assert run(sockdir / "control.sock", str(path)) == 1
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert not [line for line in shown.splitlines() if line.startswith("ok       probe")]


def test_on_a_terminal_results_are_coloured_and_lines_as_wide_as_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    master, terminal = pty.openpty()
    try:
        with os.fdopen(terminal, "w", encoding="utf-8") as out:
            monkeypatch.setattr(sys, "stdout", out)
            monkeypatch.setenv("COLUMNS", "80")
            monkeypatch.setenv("TERM", "xterm")
            monkeypatch.delenv("NO_COLOR", raising=False)
            lines = as_text(judge(docker())).splitlines()
    finally:
        os.close(master)
    assert lines[2].startswith("\033[32mok\033[0m       name        ")
    assert any(line.startswith("\033[31mproblem\033[0m  permission") for line in lines)


def test_an_endpoint_of_a_type_that_this_program_does_not_know_is_explained(
    listening: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog(listening.parent, later=listening)
    file = listening.parent / runtime.CATALOG
    file.write_text(file.read_text("utf-8").replace('"stream"', '"later"'), encoding="utf-8")
    assert app.run(["--control", str(listening), "explain", "later"]) == 0
    assert capsys.readouterr().out.startswith(f"later: {listening}")
