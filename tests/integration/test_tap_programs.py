"""localechoctl tap with programs of others: the same results, and what tshark reads."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.harness import Daemon, needs_root, until
from tests.integration.taps import assert_same, client, run, serving, tapped
from tests.integration.test_tutorial_clients import BUILD

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

HTTP = """
import http.server, socketserver, sys

class Server(socketserver.ThreadingUnixStreamServer):
    def get_request(self):
        return super().get_request()[0], ("", 0)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"x" * int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

Server(sys.argv[1], Handler).serve_forever()
"""


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [each for each in programs if found(each) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {' '.join(missing)}")


def found(program: str) -> str | None:
    """Find a program; Debian keeps those of PostgreSQL's server outside PATH."""
    places = [os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    return shutil.which(program, path=":".join(places))


@contextmanager
def running(path: Path, *command: object, **options: object) -> Iterator[None]:
    """Run a server until it has bound its path; end it afterwards."""
    with subprocess.Popen(
        [*map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, **options,  # type: ignore[call-overload]
    ) as server:  # fmt: skip
        try:
            until(path.is_socket)
            yield
        finally:
            server.terminate()


def dissected(file: Path, *fields: str, port: str = "") -> list[str]:
    """Return the named fields of each packet in a capture; `port` is the protocol of streams."""
    wanted = [part for field in fields for part in ("-e", field)]
    command = ["tshark", "-r", str(file), "-T", "fields", "-E", "separator=|", *wanted]
    command += ["-d", f"tcp.port==9,{port}"] if port else []
    done = run(command)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.strip("|")]


@needs("curl", "tshark")
def test_curl_and_an_http_server(sockdir: Path) -> None:
    """A body of 300,000 bytes comes in many pieces, which the dissector puts together."""
    path, file = sockdir / "s", sockdir / "x.pcapng"
    with running(path, sys.executable, "-c", HTTP, path):
        command = ["curl", "-sS", "--unix-socket", str(path), "http://x/300000"]
        assert assert_same(path, command).returncode == 0
        tapped(path, command, "--quiet", "--for", "http", "--write", str(file))
    # Since version 4.4 a response has the URI of its request too.
    assert dissected(file, "http.request.uri")[0] == "/300000"
    assert dissected(file, "http.response.code", "http.content_length") == ["200|300000"]
    assert dissected(file, "_ws.malformed", "tcp.analysis.flags") == []


@needs("redis-server", "redis-cli", "tshark")
def test_redis(sockdir: Path) -> None:
    path, file = sockdir / "s", sockdir / "x.pcapng"
    server = ("redis-server", "--unixsocket", path, "--port", 0, "--save", "", "--dir", sockdir)
    with running(path, *server):
        ask = ["redis-cli", "-s", str(path)]
        until(lambda: run([*ask, "ping"]).stdout == "PONG\n")
        assert_same(path, [*ask, "set", "key", "x" * 100_000])
        assert assert_same(path, [*ask, "get", "key"]).stdout == "x" * 100_000 + "\n"
        tapped(path, [*ask, "strlen", "key"], "--for", "resp", "--write", str(file))
    said = " ".join(dissected(file, "_ws.col.Info"))
    assert "Request: strlen key" in said
    assert "Response: 100000" in said


@needs("psql", "postgres", "initdb", "tshark")
@needs_root
def test_postgresql(sockdir: Path) -> None:
    """The server, which refuses to run as root, asks the kernel for the client's uid: the same."""
    path, file, data = sockdir / ".s.PGSQL.5432", sockdir / "x.pcapng", sockdir / "data"
    owner = pwd.getpwnam("nobody")
    ids = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    os.chown(sockdir, owner.pw_uid, owner.pw_gid)
    initdb = [found("initdb") or "", "-D", str(data), "--no-sync", "-U", "admin"]
    subprocess.run(initdb, capture_output=True, check=True, cwd="/", **ids)  # type: ignore[call-overload]
    (data / "pg_hba.conf").write_text("local all admin peer map=m\n")
    (data / "pg_ident.conf").write_text("m root admin\n")
    server = (found("postgres"), "-D", data, "-k", sockdir, "-c", "listen_addresses=")
    ask = ["psql", "-X", "-A", "-t", "-h", str(sockdir), "-U", "admin", "postgres", "-c"]
    query = [*ask, "select repeat('x', 100000) from generate_series(1, 3)"]
    with running(path, *server, cwd="/", **ids):
        until(lambda: run([*ask, "select 1"]).stdout == "1\n")
        plain, through = run(query), tapped(path, query, "--quiet")
        assert (through.returncode, through.stdout) == (plain.returncode, plain.stdout)
        assert len(plain.stdout) == 300_003
        again = tapped(path, [*ask, "select 42"], "--for", "pgsql", "--write", str(file))
        assert again.stdout == "42\n"
    assert "select 42" in " ".join(dissected(file, "pgsql.query"))


@needs("dbus-daemon", "busctl", "tshark")
def test_dbus(sockdir: Path) -> None:
    """The bus asks the kernel for the client's uid, which is the same."""
    path, file = sockdir / "bus", sockdir / "x.pcapng"
    with running(
        path, "dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address=unix:path={path}"
    ):
        command = ["busctl", "--address", f"unix:path={path}", "call", "org.freedesktop.DBus", "/",
                   "org.freedesktop.DBus", "NameHasOwner", "s", "org.freedesktop.DBus"]  # fmt: skip
        assert assert_same(path, command).stdout == "b true\n"
        tapped(path, command, "--write", str(file))
    assert "NameHasOwner" in dissected(file, "dbus.member", port="dbus")


@needs("ssh-agent", "ssh-add", "ssh-keygen")
def test_ssh_agent(sockdir: Path) -> None:
    path, key = sockdir / "agent", sockdir / "key"
    run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-C", "it", "-f", str(key)])
    environment = os.environ | {"SSH_AUTH_SOCK": str(path)}
    with running(path, "ssh-agent", "-D", "-a", path):
        added = tapped(path, ["ssh-add", str(key)], env=environment)
        listed = tapped(path, ["ssh-add", "-l"], env=environment)
        assert run(["ssh-add", "-l"], env=environment).stdout == listed.stdout
    assert (added.returncode, listed.returncode) == (0, 0)
    assert listed.stdout.endswith("it (ED25519)\n")


@needs("tmux", "script")
def test_tmux_passes_its_terminal(sockdir: Path) -> None:
    """The client passes its terminal as a descriptor, and the server writes to that."""
    path = sockdir / "tmux"
    environment = os.environ | {"TERM": "xterm"}
    tmux = ["tmux", "-S", str(path), "-f", "/dev/null"]
    run([*tmux, "new-session", "-d", "echo from the session; exec sleep 60"], env=environment)
    try:
        assert_same(path, [*tmux, "list-sessions", "-F", "#S"])
        attach = f"{' '.join(tmux)} attach ';' run-shell 'sleep 0.3' ';' detach"
        done = tapped(path, ["script", "-qec", attach, "/dev/null"], env=environment, input="")
        assert done.returncode == 0
        assert "from the session" in done.stdout
        assert "with 1 descriptor" in done.stderr
    finally:
        run([*tmux, "kill-server"])


def test_grpc(daemon: Daemon) -> None:
    """Two implementations: grpclib in localechoctl, and grpcio as other programs have it."""
    daemon.configure('[endpoints.s]\ntype = "stream"\n')
    daemon.start()
    control = str(daemon.runtime / "control.sock")
    status = [sys.executable, "-m", "localechod.ctl", "--control", control, "status", "--json"]
    done = tapped(control, status)
    assert done.returncode == 0
    assert '"s"' in done.stdout
    script = f"""
import grpc
with grpc.insecure_channel("unix:{control}") as channel:
    call = channel.unary_unary("/grpc.health.v1.Health/Check")
    print(call(b"", timeout=20))
"""
    assert_same(control, client(script))


@pytest.mark.skipif(not BUILD.exists(), reason=f"the tutorial's programs are not at {BUILD}")
@needs("cc")
@pytest.mark.parametrize("kind", ["stream", "data"])
def test_the_tutorials_programs(sockdir: Path, kind: str) -> None:
    subprocess.run([BUILD, sockdir], check=True, capture_output=True, timeout=120)
    done = []
    for name, how in (("plain", run), ("through", lambda ask, **more: tapped(ask[1], ask, **more))):
        path = sockdir / name
        with running(path, sockdir / f"unix{kind}server", path, umask=0):
            ask = [str(sockdir / f"unix{kind}client"), str(path)]
            done.append(how(ask, input="g1\ng2\n", umask=0))
    plain, through = done
    assert (through.returncode, through.stdout) == (plain.returncode, plain.stdout)
    assert "bytes: g1" in through.stderr


@needs("gcc")
def test_a_static_program(sockdir: Path) -> None:
    """A wrapper library could not see it."""
    source = """
    #include <sys/socket.h>
    #include <sys/un.h>
    #include <string.h>
    #include <unistd.h>
    int main(int argc, char **argv) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        char b[10]; int s = socket(AF_UNIX, SOCK_STREAM, 0);
        strcpy(a.sun_path, argv[1]);
        if (connect(s, (void *) &a, sizeof a)) return 1;
        write(s, "ping", 4);
        return write(1, b, read(s, b, 10)) != 4;
    }"""
    (sockdir / "c.c").write_text(source)
    run(["gcc", "-static", "-w", "-o", str(sockdir / "c"), str(sockdir / "c.c")])

    def echo(server: socket.socket) -> None:
        while True:
            with server.accept()[0] as peer:
                peer.sendall(peer.recv(10))

    with serving(sockdir / "s", echo):
        done = assert_same(sockdir / "s", [str(sockdir / "c"), str(sockdir / "s")])
    assert done.stdout == "ping"
