"""Stream and datagram sockets: how each is used, and what happens when both ends differ."""

import os
import socket
from functools import partial

from localechod.lab.experiment import Experiment
from localechod.lab.process import Process
from localechod.lab.sandbox import CLIENT, DATA, STREAM, Facts, Sandbox, call, local

WRONG_TYPE = "Protocol wrong type for socket (91)"


def stream_answers(sandbox: Sandbox) -> Facts:
    """Type g1, g2, g3 into the stream client."""
    server = sandbox.program("streamserver", STREAM)
    server.read_line()
    client = sandbox.program("streamclient", STREAM)
    return _type_messages(client, server, client_lines=1, server_lines=1)


def datagram_answers(sandbox: Sandbox) -> Facts:
    """Type g1, g2, g3 into the datagram client."""
    server = sandbox.program("dataserver", DATA)
    server.read_line()
    client = sandbox.program("dataclient", DATA, CLIENT)
    return _type_messages(client, server, client_lines=2, server_lines=2)


def _type_messages(
    client: Process, server: Process, *, client_lines: int, server_lines: int
) -> Facts:
    """Type three messages, and collect the lines that each side prints for a message."""
    replies: list[str] = []
    received: list[str] = []
    for text in ("g1", "g2", "g3"):
        client.type(text)
        replies += client.read_lines(client_lines)
        received += server.read_lines(server_lines)
    return {"client": ", ".join(replies), "server": ", ".join(received)}


def stream_to_datagram(sandbox: Sandbox) -> Facts:
    """Connect the stream client to the datagram server."""
    sandbox.program("dataserver", DATA).read_line()
    client = sandbox.program("streamclient", DATA)
    termination = client.wait()
    return {"client": client.transcript[0], "termination": termination}


def datagram_to_stream(sandbox: Sandbox) -> Facts:
    """Send from the datagram client to the stream server."""
    sandbox.program("streamserver", STREAM).read_line()
    client = sandbox.program("dataclient", STREAM, CLIENT)
    client.type("g1")
    termination = client.wait()
    return {"client": client.transcript[2], "termination": termination}


def no_listen(sandbox: Sandbox) -> Facts:
    """Receive a datagram directly after bind, then call listen and accept."""
    path = sandbox.path(DATA)

    def calls() -> None:
        server, client = local(socket.SOCK_DGRAM), local(socket.SOCK_DGRAM)
        call(f'bind("{path}")', lambda: server.bind(path))
        call('sendto("g1")', lambda: client.sendto(b"g1", path))
        call("recvfrom()", lambda: server.recvfrom(64)[0])
        call("listen()", server.listen)
        call("accept()", server.accept)

    _, _, received, listened, accepted = sandbox.results(calls)
    return {"recvfrom": received, "listen": listened, "accept": accepted}


def datagram_read_write(sandbox: Sandbox) -> Facts:
    """Connect a datagram socket, then use read and write on it."""
    path, own = sandbox.path(DATA), sandbox.path(CLIENT)

    def calls() -> None:
        server, client = local(socket.SOCK_DGRAM), local(socket.SOCK_DGRAM)
        call(f'bind(server, "{path}")', lambda: server.bind(path))
        call(f'bind(client, "{own}")', lambda: client.bind(own))
        call("connect(client, server)", lambda: client.connect(path))
        call("connect(server, client)", lambda: server.connect(own))
        call('write(client, "g1")', lambda: os.write(client.fileno(), b"g1"))
        call("read(server)", lambda: os.read(server.fileno(), 64))
        call('write(server, "Hi, g1")', lambda: os.write(server.fileno(), b"Hi, g1"))
        call("read(client)", lambda: os.read(client.fileno(), 64))

    *_, wrote, received, _, reply = sandbox.results(calls)
    return {"write": wrote, "server's read": received, "client's read": reply}


def same_interface(sandbox: Sandbox) -> Facts:
    """Make the same calls for every family and type, with different addresses."""
    rows: list[tuple[str, str, str | tuple[str, int]]] = [
        ("AF_UNIX", "SOCK_STREAM", sandbox.path("s")),
        ("AF_INET", "SOCK_STREAM", ("127.0.0.1", 0)),
        ("AF_UNIX", "SOCK_DGRAM", sandbox.path("d")),
        ("AF_INET", "SOCK_DGRAM", ("127.0.0.1", 0)),
        ("AF_UNIX", "SOCK_SEQPACKET", sandbox.path("q")),
    ]
    if _has_ipv6():
        rows[2:2] = [("AF_INET6", "SOCK_STREAM", ("::1", 0))]
        rows[5:5] = [("AF_INET6", "SOCK_DGRAM", ("::1", 0))]

    def calls() -> None:
        for family, kind, address in rows:
            call(f"{family} {kind}", partial(_echo, family, kind, address))

    return {"replies": ", ".join(sorted(set(sandbox.results(calls))))}


def _echo(family: str, kind: str, address: str | tuple[str, int]) -> bytes:
    """Send a message from a client and a reply from a server, with the calls of all families."""
    server, client = (
        socket.socket(getattr(socket, family), getattr(socket, kind)) for _ in range(2)
    )
    server.bind(address)
    if kind == "SOCK_DGRAM":
        client.bind(address + "c" if isinstance(address, str) else address)
        client.connect(server.getsockname())
        client.send(b"g1")
        data, sender = server.recvfrom(64)
        server.sendto(b"Hi, " + data, sender)
    else:
        server.listen()
        client.connect(server.getsockname())
        client.send(b"g1")
        connection, _ = server.accept()
        connection.send(b"Hi, " + connection.recv(64))
    return client.recv(64)


def _has_ipv6() -> bool:
    """Return whether IPv6 works here: it is off on many machines and in most containers."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def af_local(sandbox: Sandbox) -> Facts:
    """Ask the kernel for the number and the name of the family."""

    def calls() -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        call("getsockopt(SO_DOMAIN)", lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN))
        with open("/proc/net/protocols", encoding="ascii") as protocols:  # noqa: PTH123 - one line
            names = sorted(line.split()[0] for line in protocols if line.startswith("UNIX"))
        call("/proc/net/protocols: families named UNIX or LOCAL", lambda: " ".join(names))

    number, _ = sandbox.results(calls)
    return {"SO_DOMAIN": number}


EXPERIMENTS = (
    Experiment(
        "stream-answers",
        stream_answers,
        {
            "client": "Hi, g1, Hi, g2, Hi, g3",
            "server": "Receive: g1, Receive: g2, Receive: g3",
        },
    ),
    Experiment(
        "datagram-answers",
        datagram_answers,
        {
            "client": "now sending g1, Hi, g1, now sending g2, Hi, g2, now sending g3, Hi, g3",
            "server": (
                "Receive: g1, now sending: Hi, g1, Receive: g2, now sending: Hi, g2, "
                "Receive: g3, now sending: Hi, g3"
            ),
        },
    ),
    Experiment(
        "stream-to-datagram",
        stream_to_datagram,
        {"client": f"connect failed: {WRONG_TYPE}", "termination": "exit 1"},
    ),
    Experiment(
        "datagram-to-stream",
        datagram_to_stream,
        {"client": f"sendto failed: {WRONG_TYPE}", "termination": "exit 1"},
    ),
    Experiment(
        "no-listen",
        no_listen,
        {"recvfrom": '2 "g1"', "listen": "EOPNOTSUPP", "accept": "EOPNOTSUPP"},
    ),
    Experiment(
        "read-write",
        datagram_read_write,
        {"write": "2", "server's read": '2 "g1"', "client's read": '6 "Hi, g1"'},
        claimed={"write": "EOPNOTSUPP"},
    ),
    Experiment("same-interface", same_interface, {"replies": '6 "Hi, g1"'}),
    Experiment("af-local", af_local, {"SO_DOMAIN": "1"}),
)
