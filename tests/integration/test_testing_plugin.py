"""The pytest plugin in other projects' sessions: as they run it, in processes of their own."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.harness import CHECKOUT, DEADLINE, needs_root, until

pytest_plugins = ["pytester"]

NOBODY = 65534

# Each inner test notes the daemon's directory and pid, so that one can look for them afterwards.
NOTE = """
import os
import pytest

@pytest.fixture(autouse=True)
def _note(local_peers):
    info = local_peers.daemon.client.status().daemon
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{info.pid} {local_peers.daemon.file.parent}\\n")
"""

USE = """
import errno
import socket
import pytest

def connected(peer):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(peer.address)
    return sock

def test_a_peer_answers_counts_stops_and_starts(local_peer):
    peer = local_peer("stream", mode="0600")
    assert peer.name.startswith("stream-")
    assert os.path.exists(peer.path) and len(peer.path) <= 107
    with connected(peer) as sock:
        sock.sendall(b"one\\ntwo\\n")
        assert sock.recv(100) == b"Hi, one\\nHi, two\\n"
        assert peer.messages() == 2
        peer.configure(prefix="")
        sock.sendall(b"three\\n")
        assert sock.recv(100) == b"three\\n"
        peer.stop()
        assert sock.recv(100) == b""
    assert not os.path.exists(peer.path)
    peer.start()
    connected(peer).close()
    states = [event.state for event in peer.events()]
    assert states == ["starting", "listening", "stopped", "starting", "listening"]

def test_each_kind_and_an_abstract_address(local_peer):
    for kind in ("stream", "datagram", "seqpacket"):
        assert local_peer(kind).status().type == kind
    peer = local_peer("stream", path=f"@localechod-{os.getpid()}")
    with connected(peer) as sock:
        sock.sendall(b"x\\n")
        assert sock.recv(100) == b"Hi, x\\n"
"""


@pytest.fixture
def notes(sockdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    sockdir.chmod(0o777)
    monkeypatch.setenv("NOTES", str(sockdir / "notes"))
    return sockdir / "notes"


def nothing_is_left(notes: Path) -> bool:
    """Tell whether the daemons and the directories of all sessions are gone."""
    noted = {tuple(line.split()) for line in notes.read_text("utf-8").splitlines()}
    assert noted
    return not any(Path("/proc", pid).exists() or Path(place).exists() for pid, place in noted)


@pytest.fixture
def as_nobody() -> list[str]:
    """The words that run a command as an ordinary user, if root runs these tests."""
    if os.geteuid() != 0:
        return []
    words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    imports = [*words, sys.executable, "-c", "import localechod"]
    if subprocess.run(imports, capture_output=True, check=False, cwd="/").returncode:
        pytest.skip(f"an ordinary user may not read {CHECKOUT}")
    return words


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_peers_answer_and_nothing_is_left(
    pytester: pytest.Pytester, notes: Path, mask: int
) -> None:
    pytester.makepyfile(f"import os\nos.umask({mask})\n{NOTE}{USE}")
    result = pytester.runpytest_subprocess("--strict-markers")
    result.assert_outcomes(passed=2)
    assert nothing_is_left(notes)


def test_the_daemon_imports_nothing_of_the_project(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (sockdir / "grpclib.py").write_text("raise SystemExit('not the library')")
    (sockdir / "test_it.py").write_text("def test_it(local_peer):\n    local_peer()\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=sockdir,
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout


def test_each_xdist_worker_has_one_daemon(pytester: pytest.Pytester, notes: Path) -> None:
    for number in range(4):
        pytester.makepyfile(**{f"test_{number}": NOTE + USE})
    result = pytester.runpytest_subprocess("-n", "2", "--dist", "loadfile")
    result.assert_outcomes(passed=8)
    assert len(set(notes.read_text("utf-8").splitlines())) == 2
    assert nothing_is_left(notes)


def test_an_ordinary_user_whose_temporary_files_have_long_names(
    sockdir: Path, notes: Path, as_nobody: list[str]
) -> None:
    long = sockdir / ("a" * 100) / ("b" * 100)
    long.mkdir(parents=True)
    (long / "test_it.py").write_text(NOTE + USE)
    for each in (long, *long.iterdir()):
        os.chown(each, NOBODY if as_nobody else -1, -1)
    done = subprocess.run(
        [*as_nobody, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2"],
        cwd=long,
        env={**os.environ, "TMPDIR": str(long), "HOME": str(long), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert nothing_is_left(notes)


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ("assert not local_peer('stream')", 1),
        ("raise KeyboardInterrupt", 2),
        ("os._exit(9)", 9),
        ("import signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("import signal; os.kill(os.getpid(), signal.SIGTERM)", -15),
        ("if not os.fork(): import time; time.sleep(600)", 0),
    ],
)
def test_a_session_leaves_nothing_however_it_ends(
    pytester: pytest.Pytester, notes: Path, ends: str, code: int
) -> None:
    pytester.makepyfile(f"{NOTE}\ndef test_it(local_peer):\n    local_peer()\n    {ends}\n")
    assert pytester.runpytest_subprocess().ret == code
    until(lambda: nothing_is_left(notes))


def test_a_crashed_xdist_worker_leaves_nothing(pytester: pytest.Pytester, notes: Path) -> None:
    pytester.makepyfile(f"{NOTE}\ndef test_it(local_peer):\n    local_peer()\n    os._exit(9)\n")
    pytester.runpytest_subprocess("-n", "1").assert_outcomes(failed=1)
    until(lambda: nothing_is_left(notes))


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ('mode="066"', 'mode = "066": must be an octal string with a leading 0, such as "0660"'),
        ("prefix_=1", "prefix_: unknown key; did you mean prefix?"),
        ("mode={1}", "Object of type 'set' is not TOML serializable"),
        ('path="/proc/x.sock"', "bind failed: No such file or directory (2): /proc/x.sock"),
    ],
)
def test_a_bad_configuration_is_an_error_at_the_line_of_the_test(
    pytester: pytest.Pytester, keys: str, error: str
) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        def test_bad(local_peer):
            local_peer("stream", {keys})

        def test_good_after_it(local_peer):
            with pytest.raises(Exception, match="endpoints|bind|TOML"):
                local_peer("stream", {keys})
            assert local_peer("stream").messages() == 0
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1)
    told = result.stdout.str()
    assert f'>       local_peer("stream", {keys})' in told
    (line,) = (line for line in told.splitlines() if line.startswith("E  "))
    assert line.endswith(error)
    assert "testing/" not in told
    assert "control/" not in told


def test_a_daemon_that_does_not_start_is_an_error_of_one_line(pytester: pytest.Pytester) -> None:
    program = pytester.path / "python"
    program.write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
    program.chmod(0o755)
    pytester.makepyfile(
        f"""
        import sys

        sys.executable = {str(program)!r}

        def test_it(local_peer):
            pass
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["localechod did not start: no such luck"])
    assert "testing/" not in result.stdout.str()


def test_a_session_without_a_peer_imports_no_client_of_the_daemon(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it(request):
            assert request.config.pluginmanager.hasplugin("localechod")
            ours = {name for name in sys.modules if name.startswith("localechod")}
            assert ours == {"localechod", "localechod.testing", "localechod.testing.plugin"}
            assert not {"h2", "google.protobuf", "msgspec", "grpclib"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


NEEDS = """
import pytest

@pytest.mark.local_peer_needs("root")
def test_root():
    pass

@pytest.mark.local_peer_needs("other_users")
def test_other_users():
    pass
"""


@needs_root
def test_root_has_every_capability(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(NEEDS)
    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=2)


def test_an_ordinary_user_skips_with_the_reason(sockdir: Path, as_nobody: list[str]) -> None:
    (sockdir / "test_it.py").write_text(NEEDS)
    command = ["-m", "pytest", "-p", "no:cacheprovider", "-rs", "--strict-markers"]
    done = subprocess.run(
        [*as_nobody, sys.executable, *command],
        cwd=sockdir,
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE,
        check=False,
    )
    uid = NOBODY if as_nobody else os.geteuid()
    assert f"needs root, and runs as uid {uid}" in done.stdout
    assert "lacks CAP_SETUID and CAP_SETGID" in done.stdout
    assert done.returncode == 0


def test_an_unknown_capability_is_an_error_that_names_the_known_ones(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(NEEDS.replace('"root"', '"toor"'))
    result = pytester.runpytest_subprocess("-k", "root")
    result.stdout.fnmatch_lines(['*no capability "toor"; there are: root, other_users'])


def test_within_a_running_event_loop(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio

        def test_it(local_peer):
            async def main():
                peer = local_peer("stream", prefix="")
                reader, writer = await asyncio.open_unix_connection(peer.path)
                writer.write(b"hello\\n")
                assert await reader.readline() == b"hello\\n"
                assert peer.messages() == 1
                assert [event.state for event in peer.events()] == ["starting", "listening"]
                writer.close()

            asyncio.run(main())
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize("pure", ["", "1"])
def test_messages_without_a_reply_are_counted_once_they_are_sent(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, pure: str
) -> None:
    monkeypatch.setenv("LOCALECHOD_PURE_PYTHON", pure)
    pytester.makepyfile(
        """
        import socket

        def test_it(local_peer):
            datagrams, lines = local_peer("datagram"), local_peer("stream")
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(lines.path)
                for number in range(1, 50):
                    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
                        for _ in range(10):
                            datagram.sendto(b"x", datagrams.path)
                    assert datagrams.messages() == 10 * number
                    stream.sendall(b"x\\n")
                    assert lines.messages() == number
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_service_manager_of_pytest_hears_nothing_from_the_daemon(
    pytester: pytest.Pytester, sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(sockdir / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(sockdir / "notify"))
        pytester.makepyfile("def test_it(local_peer):\n    local_peer()\n")
        pytester.runpytest_subprocess().assert_outcomes(passed=1)
        with pytest.raises(BlockingIOError):
            manager.recv(4096, socket.MSG_DONTWAIT)
