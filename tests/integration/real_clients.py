"""Clients that people use, each as a command: connect, ask once, wait at most a second for a reply.

What they print is in docs/testing.md. A client in Python, JavaScript or Java is a few lines around
the library, which print the error as it is.
"""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.integration.harness import DEADLINE

# psql takes a directory and a port, and makes this name of them. So all peers here have it.
FILE = ".s.PGSQL.5432"

_PYTHON = """
import sys
try:
{}
except Exception as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""

_HTTP_CLIENT = _PYTHON.format(
    """
    import socket
    from http.client import HTTPConnection

    class LocalConnection(HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self.host)

    connection = LocalConnection(sys.argv[1], timeout=1)
    connection.request("GET", "/", headers={"Host": "localhost"})
    reply = connection.getresponse()
    print(reply.status, reply.read())
"""
)

_REDIS = _PYTHON.format(
    """
    import redis

    connection = redis.UnixDomainSocketConnection(sys.argv[1], socket_timeout=1)
    connection.connect()
    connection.send_command("PING")
    print(connection.read_response())
"""
)

_GRPC = """
import sys
import grpc

channel = grpc.insecure_channel(f"unix:{sys.argv[1]}")
try:
    channel.unary_unary("/a.Service/Method")(b"", timeout=1)
except grpc.RpcError as error:
    print(f"{error.code().name}: {error.details()}")
"""

_NODE = """
const request = require("http").get({socketPath: process.argv[1], path: "/", timeout: 1000});
request.on("error", error => console.log([error.code, error.message].filter(Boolean).join(": ")));
request.on("timeout", () => request.destroy(new Error("no reply within a second")));
request.on("response", reply => {
    reply.on("error", error => console.log(`${error.code}: ${error.message}`));
    reply.on("data", data => console.log(reply.statusCode, data.toString()));
});
"""

# Without a timeout of its own: a SocketChannel has none while it blocks, so a thread ends it.
_JAVA = """
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;

class Ask {
    public static void main(String[] arguments) throws Exception {
        try (var channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            var timer = new Thread(() -> {
                try { Thread.sleep(1000); channel.close(); } catch (Exception ended) { }
            });
            timer.setDaemon(true);
            timer.start();
            channel.connect(UnixDomainSocketAddress.of(arguments[0]));
            channel.write(ByteBuffer.wrap("hello\\n".getBytes()));
            var reply = ByteBuffer.allocate(100);
            var count = channel.read(reply);
            System.out.println("read: " + count);
            if (count > 0) {
                channel.write(ByteBuffer.wrap("hello\\n".getBytes()));
                System.out.println("read: " + channel.read(reply));
            }
        } catch (Exception error) {
            System.out.println(error);
        }
    }
}
"""


@dataclass(frozen=True)
class RealClient:
    """A client.

    Attributes:
        needs: the program, or the module of Python, without which it is skipped.
        command: its command line for the path of a peer; the directory is for files of its own.
        typed: its standard input.
    """

    needs: str
    command: Callable[[Path, Path], Sequence[str | Path]]
    typed: str = ""

    @property
    def is_here(self) -> bool:
        """Whether this machine has it."""
        return bool(shutil.which(self.needs) or importlib.util.find_spec(self.needs))

    def ask(self, peer: Path, directory: Path) -> str:
        """Run it against a peer; return what it prints, in one line."""
        done = subprocess.run(
            self.command(peer, directory),
            input=self.typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        return " / ".join(lines) or f"nothing; exit status {done.returncode}"


def _python(source: str) -> Callable[[Path, Path], Sequence[str | Path]]:
    return lambda peer, _directory: [sys.executable, "-c", source, peer]


def _java(peer: Path, directory: Path) -> Sequence[str | Path]:
    (directory / "Ask.java").write_text(_JAVA, encoding="utf-8")
    return ["java", directory / "Ask.java", peer]


CLIENTS = {
    "socat": RealClient(
        "socat",
        lambda peer, _: ["socat", "-t1", "-", f"UNIX-CONNECT:{peer},connect-timeout=1"],
        "hello\n",
    ),
    "ncat": RealClient(
        "ncat", lambda peer, _: ["ncat", "-w", "1", "-i", "1", "-U", peer], "hello\n"
    ),
    "curl": RealClient(
        "curl",
        lambda peer, _: ["curl", "-sS", "-m", "1", "--unix-socket", peer, "http://localhost/"],
    ),
    "http.client": RealClient("http", _python(_HTTP_CLIENT)),
    "node": RealClient("node", lambda peer, _: ["node", "-e", _NODE, peer]),
    "java": RealClient("java", _java),
    "grpcio": RealClient("grpc", _python(_GRPC)),
    "redis-py": RealClient("redis", _python(_REDIS)),
    "psql": RealClient(
        "psql", lambda peer, _: ["psql", f"host={peer.parent} connect_timeout=2", "-c", "select 1"]
    ),
}
