"""localechoctl send against real servers: its output and its errors."""

import json
import os
import pwd
import re
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from localechod.ctl.app import run
from localechod.localsocket.peer import credentials
from tests.integration.harness import needs_root
from tests.unit.elsewhere import far_server
from tests.unit.send_servers import TYPES, Capture, greet, listening, receiving

ROOT = Path(__file__).parents[2]


def write_catalog(directory: Path, name: str, kind: str, path: str, framing: str) -> None:
    row = {"name": name, "type": kind, "path": path, "framing": framing, "record_size": 4096}
    (directory / "endpoints.json").write_text(json.dumps({"endpoints": [row]}))


@pytest.mark.parametrize("kind", ["stream", "seqpacket"])
def test_each_message_is_answered_on_a_line(kind: str, sockdir: Path, capfdbinary: Capture) -> None:
    with listening(sockdir / "s", kind=kind) as path:
        assert run(["send", path, "g1", "g2", "g3"]) == 0
    assert capfdbinary.readouterr() == (b"Hi, g1\nHi, g2\nHi, g3\n", b"")


def test_a_datagram_server_is_found_out_and_answers(sockdir: Path, capfdbinary: Capture) -> None:
    with receiving(sockdir / "d") as path:
        assert run(["send", path, "g1", "", "g3"]) == 0
    assert capfdbinary.readouterr() == (b"Hi, g1\nHi, \nHi, g3\n", b"")


@pytest.mark.parametrize("kind", list(TYPES))
def test_an_abstract_name_is_an_address_and_its_type_is_found_out(
    kind: str, capfdbinary: Capture
) -> None:
    name = f"le-test-{os.getpid()}-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX, TYPES[kind]) as server:
        server.bind(f"\0{name}")
        if kind != "datagram":
            server.listen()
        assert run(["send", "--timeout", "0.05", f"@{name}", "x"]) == 1
    assert (
        capfdbinary.readouterr()
        .err.decode()
        .startswith(f"receive failed: Connection timed out (110): @{name}; ")
    )


def test_an_abstract_server_that_does_not_accept_is_not_taken_for_another_type(
    capfdbinary: Capture,
) -> None:
    name = f"le-test-{os.getpid()}-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(f"\0{name}")
        server.listen(0)
        client.connect(f"\0{name}")
        assert run(["send", "--timeout", "0.05", f"@{name}", "x"]) == 1
    assert b"Resource temporarily unavailable (11)" in capfdbinary.readouterr().err


def test_an_endpoint_is_addressed_by_its_name(sockdir: Path, capfdbinary: Capture) -> None:
    """Two lines in one message are two replies, as the framing is known."""
    write_catalog(sockdir, "hello", "stream", f"{sockdir}/s", "line")

    def peer(sock: socket.socket) -> None:
        assert sock.recv(100) == b"a\nb\n"
        sock.sendall(b"Hi, a\nHi, b\n")

    with listening(sockdir / "s", peer):
        assert run(["--control", f"{sockdir}/control.sock", "send", "hello", "a\nb"]) == 0
    assert capfdbinary.readouterr() == (b"Hi, a\nHi, b\n", b"")


def test_an_endpoint_that_does_not_listen_refers_to_the_daemon(
    sockdir: Path, capfdbinary: Capture
) -> None:
    write_catalog(sockdir, "hello", "stream", f"{sockdir}/s", "line")
    assert run(["--control", f"{sockdir}/control.sock", "send", "hello", "x"]) == 7
    assert capfdbinary.readouterr().err.decode() == (
        f"connect failed: No such file or directory (2): {sockdir}/s; "
        "hello does not listen: localechoctl status hello says more\n"
    )


def test_an_endpoint_of_another_type_is_reported_as_for_any_socket(
    sockdir: Path, capfdbinary: Capture
) -> None:
    write_catalog(sockdir, "hello", "stream", f"{sockdir}/d", "line")
    with receiving(sockdir / "d"):
        assert run(["--control", f"{sockdir}/control.sock", "send", "hello", "x"]) == 1
    assert b"it is a datagram socket" in capfdbinary.readouterr().err


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (["--framing", "chunk"], b"text"),
        (["--framing", "line"], b"text\n"),
        (["--framing", "record", "--record-size", "8"], b"text\0\0\0\0"),
        (["--hex", "--framing", "chunk"], b"\x00\xff"),
    ],
)
def test_the_framing_can_be_chosen(
    options: list[str], sent: bytes, sockdir: Path, capfdbinary: Capture
) -> None:
    heard = []

    def peer(sock: socket.socket) -> None:
        heard.append(sock.recv(100))
        sock.sendall(heard[0])

    with listening(sockdir / "s", peer) as path:
        word = "00ff" if "--hex" in options else "text"
        assert run(["send", *options, path, word]) == 0
    assert heard == [sent]
    assert capfdbinary.readouterr().out == word.encode() + b"\n"


def test_any_bytes_go_out_and_come_back_as_they_are(sockdir: Path, capfdbinary: Capture) -> None:
    with receiving(sockdir / "d", lambda text: text) as path:
        assert run(["send", path, os.fsdecode(b"\xff\x1b[31m")]) == 0
        assert run(["send", "--hex", path, "00 0a 1B"]) == 0
    assert capfdbinary.readouterr().out == b"\xff\x1b[31m\n000a1b\n"


def spawn(*words: str, stdout: int = subprocess.PIPE) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "localechod.ctl", "send", *words],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "PYTHONUNBUFFERED": ""},
        # Groups that `--as` has to drop; only root may set them.
        extra_groups=[4242] if os.geteuid() == 0 else None,
    )


def test_lines_of_standard_input_are_answered_as_they_come(sockdir: Path) -> None:
    with listening(sockdir / "s") as path, spawn(path) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        for text in (b"g1", b"", b"g3"):
            client.stdin.write(text + b"\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"Hi, " + text + b"\n"
        client.stdin.write(b"no newline")
        out, err = client.communicate(timeout=30)
    assert (client.returncode, out, err) == (0, b"Hi, no newline\n", b"")


def test_lines_of_standard_input_may_be_hex(sockdir: Path) -> None:
    with receiving(sockdir / "d") as path, spawn("--hex", path) as client:
        out, err = client.communicate(b"67 31\nnothex\n", timeout=30)
    assert (client.returncode, out) == (2, b"48692c206731\n")
    assert err == b"nothex is not a message in hex; two digits for each byte, as in 68656c6c6f\n"


def test_a_terminal_is_not_handed_to_a_foreign_server(sockdir: Path) -> None:
    master, slave = os.openpty()
    try:
        with (
            receiving(sockdir / "d", lambda _: b"\x1b]0;owned\x07\xffok") as path,
            spawn(path, "x", stdout=slave) as client,
        ):
            assert client.wait(30) == 0
        assert select.select([master], [], [], 10)[0]
        assert os.read(master, 1000) == b"\\x1b]0;owned\\x07\\xffok\r\n"
    finally:
        os.close(master)
        os.close(slave)


def test_an_invalid_argument_is_reported_before_anything_is_sent(
    sockdir: Path, capfdbinary: Capture
) -> None:
    heard: list[bytes] = []

    def note(text: bytes) -> None:
        heard.append(text)

    with receiving(sockdir / "d", note) as path:
        assert run(["send", "--hex", path, "00", "0"]) == 2
    assert heard == []
    assert b"0 is not a message in hex" in capfdbinary.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["{dir}/none", "x"], 7, "connect failed: No such file or directory (2): {dir}/none; "),
        (["{dir}/stale", "x"], 7, "connect failed: Connection refused (111): {dir}/stale; "),
        (["{dir}/file", "x"], 7, "connect failed: Connection refused (111): {dir}/file; "),
        (["@le-nobody-is-here", "x"], 7, "connect failed: Connection refused (111): @le-nobody"),
        (["./s", "x"], 7, "connect failed: No such file or directory (2): ./s; "),
        (["/" + "x" * 108, "x"], 2, "address /xxx"),
        (["{dir}/", "x"], 2, "address {dir}/: the path names a directory"),
        (["none", "x"], 3, "localechod is not running: there is no {dir}/endpoints.json; "),
        (["--timeout", "0", "/x", "x"], 2, "--timeout 0: must be more than 0"),
        (["--timeout", "-1", "/x", "x"], 2, "--timeout -1: must be more than 0"),
        (["--record-size", "1", "/x", "x"], 2, "--record-size 1: must be 2 to"),
        (["--as", "no-such-user", "/x", "x"], 2, "no such user: no-such-user; "),
        (["--as", "99999999999999999999", "/x", "x"], 2, "no such user: 9999"),
    ],
)
def test_a_mistake_is_one_clear_line_and_its_exit_status(
    *, words: list[str], status: int, line: str, sockdir: Path, capfdbinary: Capture
) -> None:
    (sockdir / "file").touch()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "stale"))
    filled = [word.format(dir=sockdir) for word in words]
    assert run(["--control", f"{sockdir}/control.sock", "send", *filled]) == status
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.decode().startswith(line.format(dir=sockdir))
    assert err.count(b"\n") == 1


def test_the_wrong_type_is_reported_as_such(sockdir: Path, capfdbinary: Capture) -> None:
    with receiving(sockdir / "d") as path:
        assert run(["send", "--type", "stream", path, "x"]) == 1
    assert capfdbinary.readouterr().err.decode() == (
        f"connect failed: Protocol wrong type for socket (91): {path}; it is a datagram socket\n"
    )


def test_a_server_that_closes_terminated_prematurely(sockdir: Path, capfdbinary: Capture) -> None:
    with listening(sockdir / "s", lambda sock: sock.recv(100)) as path:
        assert run(["send", path, "x"]) == 1
    assert re.match(
        rb"read failed: server terminated prematurely: \S+; .*\n\Z", capfdbinary.readouterr().err
    )


def test_a_server_that_resets_is_one_line(sockdir: Path, capfdbinary: Capture) -> None:
    with listening(sockdir / "s", lambda sock: sock.recv(1)) as path:
        assert run(["send", path, "longer than one byte"]) == 1
    assert re.match(
        rb"read failed: Connection reset by peer \(104\): \S+; .*\n\Z",
        capfdbinary.readouterr().err,
    )


@pytest.mark.parametrize("kind", ["stream", "datagram"])
def test_a_silent_server_is_a_timeout_after_the_given_time(
    kind: str, sockdir: Path, capfdbinary: Capture
) -> None:
    def silent(sock: socket.socket) -> None:
        while sock.recv(100):
            pass

    server = (
        listening(sockdir / "s", silent)
        if kind == "stream"
        else receiving(sockdir / "s", lambda _: None)
    )
    with server as path:
        assert run(["send", "--timeout", "0.05", path, "x"]) == 1
    assert (
        capfdbinary.readouterr()
        .err.decode()
        .startswith(f"receive failed: Connection timed out (110): {path}; no reply within 0.05 s")
    )


def test_replies_before_a_failure_are_printed(sockdir: Path, capfdbinary: Capture) -> None:
    def once(sock: socket.socket) -> None:
        sock.sendall(b"Hi, " + sock.recv(100))

    with listening(sockdir / "s", once) as path:
        assert run(["send", path, "g1", "g2"]) == 1
    out, err = capfdbinary.readouterr()
    assert out == b"Hi, g1\n"
    assert err.count(b"\n") == 1


@needs_root
def test_no_reply_socket_is_left_behind(sockdir: Path) -> None:
    with far_server(sockdir / "d") as server, spawn(str(sockdir / "d"), "x") as client:
        _, sender = server.recvfrom(100)
        assert Path(sender).parent.is_dir()
        server.sendto(b"ok", sender)
        assert client.communicate(timeout=30) == (b"ok\n", b"")
    assert not Path(sender).parent.exists()


@needs_root
def test_with_as_another_users_rights_decide(sockdir: Path) -> None:
    account = pwd.getpwnam("nobody")
    seen = []

    def peer(sock: socket.socket) -> None:
        seen.append(credentials(sock))
        greet(sock)

    with listening(sockdir / "s", peer) as path:
        with spawn("--as", "nobody", path, "x") as client:
            assert client.communicate(timeout=30) == (b"Hi, x\n", b"")
        with spawn("--as", str(account.pw_uid), path, "x") as client:
            assert client.communicate(timeout=30) == (b"Hi, x\n", b"")
        Path(path).chmod(0o600)
        with spawn("--as", "nobody", path, "x") as client:
            _, err = client.communicate(timeout=30)
    assert {(each.uid, each.gid) for each in seen} == {(account.pw_uid, account.pw_gid)}
    assert {each.groups for each in seen} == {frozenset(os.getgrouplist("nobody", account.pw_gid))}
    assert client.returncode == 4
    assert err.decode().startswith(f"connect failed: Permission denied (13): {path}; ")
    assert err.decode().endswith(f"; localechoctl explain {path} shows every step\n")


@needs_root
def test_an_ordinary_user_cannot_become_another(sockdir: Path) -> None:
    script = (
        "import os, sys\n"
        "from tests.everything import import_everything\n"
        "import_everything()\n"
        "from localechod.ctl.app import run\n"
        "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "sys.exit(run(['send', '--as', 'root', '/x', 'y']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, timeout=60, cwd=ROOT
    )
    assert done.returncode == 4
    assert done.stderr == (
        b"becoming root failed: Operation not permitted (1); "
        b"only root can use --as; sudo localechoctl send --as ...\n"
    )


def test_a_message_that_no_datagram_carries_is_one_line(sockdir: Path) -> None:
    with receiving(sockdir / "d") as path, spawn(path) as client:
        _, err = client.communicate(b"x" * 3_000_000, timeout=30)
    assert client.returncode == 1
    assert err.decode().startswith(f"send failed: Message too long (90): {path}; 3000000 bytes")


@needs_root
@pytest.mark.parametrize(("kind", "status"), [("datagram", 0), ("nothing", 7)])
def test_nothing_is_imported_once_another_user(kind: str, status: int, sockdir: Path) -> None:
    """The program's directory, such as a checkout below /root, may be closed to that user."""
    script = (
        "import os, sys\n"
        "from localechod.ctl.app import run\n"
        "class Closed:\n"
        "    def find_spec(self, name, *_):\n"
        "        raise ImportError(f'{name} was imported too late')\n"
        "setresuid = os.setresuid\n"
        "def become(*ids):\n"
        "    setresuid(*ids)\n"
        "    sys.meta_path.insert(0, Closed())\n"
        "os.setresuid = become\n"
        "os._exit(run(sys.argv[1:]))\n"
    )
    words = ["send", "--as", "nobody", f"{sockdir}/d", "x"]
    with receiving(sockdir / ("d" if kind == "datagram" else "other")):
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            capture_output=True,
            check=False,
            timeout=60,
            cwd=ROOT,
        )
    assert done.stderr.count(b"\n") == (status != 0), done.stderr
    assert done.returncode == status


@needs_root
@pytest.mark.parametrize("kind", list(TYPES))
def test_another_user_gets_answers_of_every_type(kind: str, sockdir: Path) -> None:
    server = receiving(sockdir / "s") if kind == "datagram" else listening(sockdir / "s", kind=kind)
    with server as path, spawn("--as", "nobody", "--hex", path, "6731") as client:
        assert client.communicate(timeout=30) == (b"48692c206731\n", b"")
    assert client.returncode == 0
