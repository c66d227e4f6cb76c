"""localechoctl tap: a command meets what it meets without it, and the bytes are shown."""

import array
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from localechod.localsocket.peer import credentials
from tests.integration.harness import CHECKOUT, needs_root, receive, until
from tests.integration.taps import TAP, assert_same, client, run, serving, tapped, tapped_by
from tests.unit.sandboxes import ALLOW, ERRNO, install

NOBODY = 65534
UCRED = struct.Struct("iII")  # unix(7)

ASK = """
with socket.socket(U, int(sys.argv[2])) as s:
    s.connect(sys.argv[1])
    for word in sys.argv[3:]:
        s.sendall(word.encode())
        print(s.recv(100))
    s.shutdown(socket.SHUT_WR)
    print(s.recv(100))
"""


def echo(server: socket.socket) -> None:
    """Serve one connection after the other; after their end, say goodbye."""
    while True:
        with server.accept()[0] as peer:
            while data := peer.recv(1 << 16):
                peer.sendall(data.upper())
            peer.sendall(b"bye")


@pytest.mark.parametrize("type_", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_requests_replies_and_a_half_close(sockdir: Path, type_: int) -> None:
    with serving(sockdir / "s", echo, type_):
        done = assert_same(sockdir / "s", client(ASK, sockdir / "s", int(type_), "one", "two"))
    assert re.sub(r"\d+\.\d+ s|\(\d+\)|process \d+", "N", done.stderr).splitlines() == [
        f"tap: {sockdir}/s: the server sees N, this one, and the same uid and gid",
        f"#1 {Path(sys.executable).name} N connected",
        "#1 > 3 bytes: one",
        "#1 < 3 bytes: ONE",
        "#1 > 3 bytes: two",
        "#1 < 3 bytes: TWO",
        "#1 > end of file",
        "#1 < 3 bytes: bye",
        "#1 < end of file",
        "#1 closed after N: 6 bytes sent, 9 received",
    ]
    (pid,) = re.findall(r"process (\d+)", done.stderr)
    assert not [*Path("/tmp").glob(f"localechoctl-tap-{pid}-*")]  # noqa: S108 - looked at, not used


def test_an_abstract_name() -> None:
    name = f"tap-{os.getpid()}"
    script = ASK.replace("s.connect(sys.argv[1])", "s.connect(chr(0) + sys.argv[1])")
    with serving(name, echo):
        done = tapped(f"@{name}", client(script, name, 1, "one"))
    assert done.stdout == "b'ONE'\nb'bye'\n"
    assert "#1 > 3 bytes: one" in done.stderr


@pytest.mark.parametrize("name", ["link", "s/../s2/../../{}/s", "relative"])
def test_any_path_to_the_socket(sockdir: Path, name: str) -> None:
    (sockdir / "link").symlink_to("s")
    (sockdir / "s2").mkdir()
    path = {"link": str(sockdir / "link"), "relative": "s"}.get(name, f"{sockdir}/s2/../s")
    with serving(sockdir / "s", echo):
        done = tapped(sockdir / "s", client(f"os.chdir('{sockdir}')\n{ASK}", path, 1, "one"))
    assert done.stdout == "b'ONE'\nb'bye'\n"
    assert "#1 > 3 bytes: one" in done.stderr


def test_a_path_of_107_bytes(sockdir: Path) -> None:
    path = sockdir / ("x" * (107 - len(str(sockdir)) - 1))
    with serving(path, echo):
        done = assert_same(path, client(ASK, path, 1, "one"))
    assert "#1 > 3 bytes: one" in done.stderr


def test_connections_of_nobody_else_and_to_nothing_else(sockdir: Path) -> None:
    with serving(sockdir / "s", echo), serving(sockdir / "other", echo):
        command = client(ASK, sockdir / "other", 1, "one")
        done = assert_same(sockdir / "s", command)
        assert "#1" not in done.stderr


@needs_root
def test_an_ordinary_user_needs_no_rights(sockdir: Path) -> None:
    with serving(sockdir / "s", echo):
        done = tapped_by(NOBODY, sockdir / "s", client(ASK, sockdir / "s", 1, "one"))
    assert (done.returncode, done.stdout) == (0, "b'ONE'\nb'bye'\n"), done.stderr
    assert "#1 > 3 bytes: one" in done.stderr


def forbid_pidfd_getfd() -> None:
    install([(0x20, 0, 0, 0), (0x15, 0, 1, 438), (0x06, 0, 0, ERRNO | 1), (0x06, 0, 0, ALLOW)])


@pytest.mark.parametrize("type_", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
@pytest.mark.parametrize("blocking", [True, False])
def test_a_container_that_forbids_to_copy_descriptors(
    sockdir: Path, type_: int, blocking: bool
) -> None:
    head = "print(os.get_blocking(s.fileno()), os.get_inheritable(s.fileno()))\n"
    script = ASK.replace("    s.connect", f"    s.setblocking({blocking})\n    s.connect")
    script = script.replace("    for word", f"    {head}    s.setblocking(True)\n    for word")
    command = client(script, sockdir / "s", int(type_), "one")
    with serving(sockdir / "s", echo, type_):
        plain = run(command)
        done = tapped(sockdir / "s", command, preexec_fn=forbid_pidfd_getfd)
    assert (done.returncode, done.stdout) == (plain.returncode, plain.stdout), done.stderr
    assert "#1 > 3 bytes: one" in done.stderr


def test_datagrams_are_refused_there(sockdir: Path) -> None:
    with serving(sockdir / "s", wait, socket.SOCK_DGRAM):
        done = tapped(sockdir / "s", ["true"], preexec_fn=forbid_pidfd_getfd)
    assert (done.returncode, done.stdout) == (4, "")
    assert "pidfd_getfd failed: Operation not permitted (1): datagrams need it" in done.stderr


CONNECT = """
s = socket.socket(U, int(sys.argv[2]))
if sys.argv[3:]:
    s.setblocking(False)
try:
    s.connect(sys.argv[1])
    print("connected", s.send(b"x"))
except OSError as error:
    print(error.errno)
"""


def wait(_server: socket.socket) -> None:
    signal.pause()


@pytest.mark.parametrize("what", ["missing", "gone", "file", "wrong type", "full", "directory"])
def test_errno_of_a_connect_that_fails(sockdir: Path, what: str) -> None:
    path = sockdir / "s"
    kind = socket.SOCK_SEQPACKET if what == "wrong type" else socket.SOCK_STREAM
    command = client(CONNECT, path, int(kind), *(["now"] if what == "full" else []))
    if what == "file":
        path.touch()
    elif what == "directory":
        path.mkdir()
    elif what == "gone":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
    if what not in {"full", "wrong type"}:
        assert_same(path, command)
        return
    with serving(path, wait, backlog=0), socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(path))
        assert_same(path, command)


@needs_root
def test_a_socket_without_permission_is_refused_as_before(sockdir: Path) -> None:
    with serving(sockdir / "s", echo):
        (sockdir / "s").chmod(0o600)
        done = tapped_by(NOBODY, sockdir / "s", client(CONNECT, sockdir / "s", 1))
    assert (done.returncode, done.stdout) == (0, "13\n"), done.stderr


SETRESUID = 117 if os.uname().machine == "x86_64" else 147  # asm/unistd.h; for one thread
# What a program does that gives up root's rights: all ids, the ids of one thread, or capabilities.
GIVE_UP = {
    "user": "os.setgroups([]), os.setresgid(G, G, G), os.setresuid(G, G, G)\n",
    "thread": f"import ctypes; ctypes.CDLL(None).syscall({SETRESUID}, G, G, G)\n",
    "capabilities": "",
}
SEND = """
with socket.socket(U, int(sys.argv[2])) as s:
    s.bind("")
    try:
        s.connect(sys.argv[1]) if int(sys.argv[2]) == 1 else s.sendto(b"x", sys.argv[1])
        print(s.recv(100))
    except OSError as error:
        print(error.errno)
"""


@needs_root
@pytest.mark.parametrize("mode", [0o600, 0o666])
@pytest.mark.parametrize("type_", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("how", GIVE_UP)
def test_rights_that_a_program_has_given_up_do_not_come_back(
    sockdir: Path, how: str, type_: int, mode: int
) -> None:
    def tell(server: socket.socket) -> None:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        while True:
            if type_ == socket.SOCK_STREAM:
                with server.accept()[0] as peer:
                    peer.sendall(b"%d" % credentials(peer, supplementary=False).uid)
            else:
                _, control, _, name = server.recvmsg(100, 100)
                server.sendto(b"%d" % UCRED.unpack(control[0][2])[1], name)

    sockdir.chmod(0o755)
    script = f"G = {NOBODY}\n{GIVE_UP[how]}{SEND}"
    command = client(script, sockdir / "s", int(type_))
    if how == "capabilities":
        command = ["setpriv", "--bounding-set=-all", *command]
    with serving(sockdir / "s", tell, type_):
        (sockdir / "s").chmod(mode)
        os.chown(sockdir / "s", NOBODY if how == "capabilities" else 0, -1)
        done = assert_same(sockdir / "s", command)
    if mode == 0o600:
        assert done.stdout == "13\n"
    assert done.stderr.count("has other rights than this one: its connections are not shown") == 1
    assert "#1" not in done.stderr


def test_a_blocking_client_waits_for_space_in_the_backlog(sockdir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(str(sockdir / "s"))
        server.listen(0)
        first.connect(str(sockdir / "s"))
        command = [*TAP, str(sockdir / "s"), "--", *client(CONNECT, sockdir / "s", 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as tap:
            until(lambda: "unix_wait_for_peer" in wait_channels(tap.pid))
            server.accept()[0].close()
            with server.accept()[0] as peer:
                assert receive(peer, 1) == b"x"
            assert tap.communicate()[0] == "connected 1\n"


def wait_channels(pid: int) -> str:
    """Return where the threads of a process wait in the kernel; "" once it has ended."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return " ".join((task / "wchan").read_text("utf-8") for task in tasks)
    except OSError:
        return ""


def test_a_server_that_closes_with_unread_data_resets_the_client(sockdir: Path) -> None:
    def reset(server: socket.socket) -> None:
        while True:
            with server.accept()[0] as peer:
                peer.sendall(b"hi")
                peer.recv(1, socket.MSG_PEEK)

    script = """
s = socket.socket(U)
s.connect(sys.argv[1])
s.sendall(b"request")
for _ in range(3):
    try:
        print(s.recv(100))
    except OSError as error:
        print(error.errno)
"""
    with serving(sockdir / "s", reset):
        done = assert_same(sockdir / "s", client(script, sockdir / "s"))
    assert "#1 < Connection reset by peer" in done.stderr


def test_a_server_that_is_killed(sockdir: Path) -> None:
    def die(server: socket.socket) -> None:
        peer = server.accept()[0]
        peer.recv(1)
        os.kill(os.getpid(), signal.SIGKILL)

    script = f"""{CONNECT}
print(s.recv(10))
try:
    s.send(b"y")
except OSError as error:
    print(error.errno)
"""
    outputs = []
    for run_it in (run, lambda command: tapped(sockdir / "s", command)):
        with serving(sockdir / "s", die):
            outputs.append(run_it(client(script, sockdir / "s", 1)).stdout)
        (sockdir / "s").unlink()
    assert outputs == ["connected 1\nb''\n32\n"] * 2


def test_a_client_that_is_killed(sockdir: Path) -> None:
    """The server reads what was sent, then the end; the status tells the signal."""
    read, write = os.pipe()

    def report(server: socket.socket) -> None:
        with server.accept()[0] as peer:
            while data := peer.recv(100):
                os.write(write, data)
            os.write(write, b"|end")

    script = CONNECT + "os.kill(os.getpid(), 9)"
    with serving(sockdir / "s", report):
        os.close(write)
        done = tapped(sockdir / "s", client(script, sockdir / "s", 1))
        said = b""
        while data := os.read(read, 100):
            said += data
    os.close(read)
    assert (done.returncode, said) == (128 + signal.SIGKILL, b"x|end")


def test_descriptors_pass_in_both_directions(sockdir: Path) -> None:
    def give_back(server: socket.socket) -> None:
        while True:
            with server.accept()[0] as peer:
                data, rights, _, _ = socket.recv_fds(peer, 10, 10)
                socket.send_fds(peer, [data], rights)
                for each in rights:
                    os.close(each)

    script = """
r, w = os.pipe()
s = socket.socket(U)
s.connect(sys.argv[1])
socket.send_fds(s, [b"take"], [w, r])
data, fds, _, _ = socket.recv_fds(s, 10, 10)
os.write(fds[0], b"through")
print(data, os.read(r, 10), len(fds))
"""
    with serving(sockdir / "s", give_back):
        done = assert_same(sockdir / "s", client(script, sockdir / "s"))
    assert done.stdout == "b'take' b'through' 2\n"
    assert "#1 > 4 bytes with 2 descriptors: take" in done.stderr


def test_records_keep_their_boundaries_and_may_be_empty(sockdir: Path) -> None:
    script = """
s = socket.socket(U, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
for size in (3, 0, 100_000, 1):
    s.send(b"x" * size)
s.shutdown(socket.SHUT_WR)
print([len(s.recv(1 << 20)) for _ in range(4)])
"""

    def reflect(server: socket.socket) -> None:
        while True:
            with server.accept()[0] as peer:
                for _ in range(4):
                    peer.send(peer.recv(1 << 20))

    with serving(sockdir / "s", reflect, socket.SOCK_SEQPACKET):
        done = assert_same(sockdir / "s", client(script, sockdir / "s"))
    assert done.stdout == "[3, 0, 100000, 1]\n"


def test_a_client_that_does_not_read_stops_the_server(sockdir: Path) -> None:
    """A server that writes is stopped soon: the relay does not gather what nobody reads."""
    read, write = os.pipe()

    def flood(server: socket.socket) -> None:
        with server.accept()[0] as peer:
            peer.setblocking(False)
            total = 0
            while True:
                try:
                    total += peer.send(bytes(1 << 16))
                except BlockingIOError:
                    os.write(write, f"{total}\n".encode())
                    peer.settimeout(1)
                    total += peer.send(b"x")  # raises TimeoutError when it is full for good

    script = "s = socket.socket(U)\ns.connect(sys.argv[1])\nsys.stdin.read()\n"
    command = [*TAP, str(sockdir / "s"), "--quiet", "--", *client(script, sockdir / "s")]
    with serving(sockdir / "s", flood):
        os.close(write)
        with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=CHECKOUT) as tap:
            lines = b""
            while data := os.read(read, 100):
                lines += data
            assert tap.poll() is None
            tap.communicate(b"")
    os.close(read)
    assert int(lines.split()[-1]) < 4 << 20


def test_a_wrong_command_has_the_status_of_a_shell(sockdir: Path) -> None:
    (sockdir / "plain").touch(0o600)
    with serving(sockdir / "s", echo):
        missing = tapped(sockdir / "s", ["no-such-command"])
        plain = tapped(sockdir / "s", [str(sockdir / "plain")])
    assert missing.returncode == 127
    assert "exec failed: No such file or directory (2): no-such-command" in missing.stderr
    assert plain.returncode == 126
    assert "exec failed: Permission denied (13): " in plain.stderr


def test_sigterm_goes_to_the_command(sockdir: Path) -> None:
    script = "print(os.getpid(), flush=True)\nimport signal\nsignal.pause()"
    command = [*TAP, str(sockdir / "s"), "--", *client(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as tap:
        assert tap.stdout is not None
        tap.stdout.readline()
        tap.terminate()
        assert tap.wait(20) == 128 + signal.SIGTERM


def test_a_process_that_the_command_leaves_goes_on(sockdir: Path) -> None:
    """Its later connects work, after the tap has ended, and nothing is left when it ends."""
    script = f"""
import signal, subprocess
subprocess.Popen([sys.executable, "-c", '''
import socket, sys
sys.stdin.read()
s = socket.socket(socket.AF_UNIX)
s.connect({str(sockdir / "s")!r})
s.sendall(b"late")
'''], stdin=int(sys.argv[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""
    read, write = os.pipe()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(sockdir / "s"))
        server.listen()
        done = tapped(sockdir / "s", client(script, read), pass_fds=[read])
        assert done.returncode == 0
        assert "has ended, and a process that it started goes on" in done.stderr
        os.close(read)
        os.close(write)
        server.settimeout(20)
        with server.accept()[0] as peer:
            assert receive(peer, 4) == b"late"


def test_the_capture_is_private_and_a_full_disk_ends_it_alone(sockdir: Path) -> None:
    with serving(sockdir / "s", echo):
        command = client(ASK, sockdir / "s", 1, "one")
        file = sockdir / "x.pcapng"
        assert tapped(sockdir / "s", command, "--write", str(file), "--quiet").returncode == 0
        assert file.stat().st_mode & 0o777 == 0o600
        full = tapped(sockdir / "s", command, "--write", "/dev/full")
        assert full.returncode == 2
        assert "open failed: No space left on device (28): /dev/full" in full.stderr


@needs_root
def test_no_capture_is_written_to_a_file_of_another_user(sockdir: Path) -> None:
    file = sockdir / "x.pcapng"
    file.write_text("theirs", encoding="utf-8")
    os.chown(file, NOBODY, NOBODY)
    with serving(sockdir / "s", echo):
        done = tapped(sockdir / "s", ["true"], "--write", str(file))
    assert done.returncode == 2
    assert "open failed: Operation not permitted (1): " in done.stderr
    assert done.stderr.endswith("; it belongs to another user; choose another file\n")
    assert file.read_text(encoding="utf-8") == "theirs"
    assert file.stat().st_uid == NOBODY


@needs_root
def test_a_disk_that_fills_up_does_not_end_the_command(sockdir: Path) -> None:
    small = sockdir / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", small], check=True)
    try:
        with serving(sockdir / "s", echo):
            words = ["x" * 90] * 100
            done = tapped(
                sockdir / "s", client(ASK, sockdir / "s", 1, *words), "--write", f"{small}/x"
            )
        assert done.returncode == 0
        assert done.stdout.count("XXX") > 99
        assert "tap: write failed: No space left on device (28): the capture ends" in done.stderr
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.parametrize("mode", ["connect", "sendto", "sendmsg", "unnamed"])
@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_datagrams(sockdir: Path, mode: str, abstract: bool) -> None:
    script = """
address, mode = sys.argv[1].replace("@", chr(0)), sys.argv[2]
s = socket.socket(U, socket.SOCK_DGRAM)
s.settimeout(20)
if mode != "unnamed":
    s.bind("")
if mode == "connect":
    s.connect(address)
for word in (b"one", b"", b"two"):
    if mode == "connect":
        s.send(word)
    elif mode == "sendmsg":
        s.sendmsg([word[:1], word[1:]], [], 0, address)
    else:
        s.sendto(word, address)
    if mode != "unnamed":
        print(s.recv(100))
"""

    def reply(server: socket.socket) -> None:
        while True:
            data, sender = server.recvfrom(100)
            if sender:
                server.sendto(b"re " + data, sender)

    address = f"tap-{os.getpid()}" if abstract else sockdir / "d"
    target = f"@{address}" if abstract else str(address)
    with serving(address, reply, socket.SOCK_DGRAM):
        done = assert_same(target, client(script, target, mode))
    assert done.stderr.count("#1 > 3 bytes: ") == 2
    assert done.stderr.count("#1 > 0 bytes: ") == 1
    assert done.stderr.count("#1 < ") == (0 if mode == "unnamed" else 3)


def test_a_datagram_with_descriptors(sockdir: Path) -> None:
    script = """
r, w = os.pipe()
s = socket.socket(U, socket.SOCK_DGRAM)
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [w]))]
s.sendmsg([b"take"], rights, 0, sys.argv[1])
os.close(w)
print(os.read(r, 10), os.read(r, 10))
"""

    def write(server: socket.socket) -> None:
        while True:
            data, rights, _, _ = socket.recv_fds(server, 10, 10)
            for each in array.array("i", rights):
                os.write(each, data)
                os.close(each)

    with serving(sockdir / "d", write, socket.SOCK_DGRAM):
        done = assert_same(sockdir / "d", client(script, sockdir / "d"))
    assert done.stdout == "b'take' b''\n"


def test_a_listener_of_its_own(sockdir: Path) -> None:
    with serving(sockdir / "s", echo):
        command = client(ASK, sockdir / "new", 1, "one")
        done = tapped(sockdir / "s", command, "--listen", str(sockdir / "new"))
    assert (done.returncode, done.stdout) == (0, "b'ONE'\nb'bye'\n"), done.stderr
    assert "#1 > 3 bytes: one" in done.stderr
    assert not (sockdir / "new").exists()
