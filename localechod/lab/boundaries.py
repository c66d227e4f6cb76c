"""Message boundaries in streams, datagrams and fixed-size records."""

import socket

from localechod.lab.experiment import Experiment
from localechod.lab.programs import RECORD, record
from localechod.lab.sandbox import DATA, STREAM, Facts, Sandbox, call, local


def stream_chunks(sandbox: Sandbox) -> Facts:
    """Write two lines before the server reads."""

    def calls() -> None:
        client, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        call('write("g1\\n")', lambda: client.send(b"g1\n"))
        call('write("g2\\n")', lambda: client.send(b"g2\n"))
        call("read()", lambda: server.recv(RECORD))
        call("read()", lambda: server.recv(RECORD, socket.MSG_DONTWAIT))

    _, _, first, second = sandbox.results(calls)
    return {"first read": first, "second read": second}


def stream_lines(sandbox: Sandbox) -> Facts:
    """Read lines that were written in parts."""

    def calls() -> None:
        client, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        reader = server.makefile("rb")
        for part in (b"g", b"1\ng2", b"\n"):
            client.send(part)
        call("readline()", reader.readline)
        call("readline()", reader.readline)

    first, second = sandbox.results(calls)
    return {"first line": first, "second line": second}


def datagram_boundaries(sandbox: Sandbox) -> Facts:
    """Send two datagrams before the server reads."""
    path = sandbox.path(DATA)

    def calls() -> None:
        server, client = local(socket.SOCK_DGRAM), local(socket.SOCK_DGRAM)
        server.bind(path)
        call('sendto("g1")', lambda: client.sendto(b"g1", path))
        call('sendto("g2")', lambda: client.sendto(b"g2", path))
        call("recvfrom()", lambda: server.recvfrom(RECORD)[0])
        call("recvfrom()", lambda: server.recvfrom(RECORD)[0])

    _, _, first, second = sandbox.results(calls)
    return {"first recvfrom": first, "second recvfrom": second}


def fixed_records(sandbox: Sandbox) -> Facts:
    """Count the bytes that are sent for "g1"; then send only a part of a record."""
    path = sandbox.path(STREAM)
    server = sandbox.program("streamserver", STREAM)
    server.read_line()

    def calls() -> None:
        client = local()
        client.connect(path)
        whole = record(b"g1\n")
        call('write("g1" as a record)', lambda: client.send(whole))
        call("read()", lambda: len(client.recv(RECORD, socket.MSG_WAITALL)))
        call('write("half a" of a record)', lambda: client.send(b"half a"))
        call("read()", lambda: client.recv(RECORD, socket.MSG_WAITALL).partition(b"\0")[0])

    sent, received, _, half = sandbox.results(calls)
    return {"sent for g1": sent, "received": received, "reply to half a record": half}


EXPERIMENTS = (
    Experiment(
        "stream-chunks",
        stream_chunks,
        {"first read": r'6 "g1\ng2\n"', "second read": "EAGAIN"},
        claimed={"first read": r'3 "g1\n"', "second read": r'3 "g2\n"'},
    ),
    Experiment(
        "stream-lines",
        stream_lines,
        {"first line": r'3 "g1\n"', "second line": r'3 "g2\n"'},
    ),
    Experiment(
        "datagram-boundaries",
        datagram_boundaries,
        {"first recvfrom": '2 "g1"', "second recvfrom": '2 "g2"'},
    ),
    Experiment(
        "fixed-records",
        fixed_records,
        {
            "sent for g1": str(RECORD),
            "received": str(RECORD),
            "reply to half a record": r'11 "Hi, half a\n"',
        },
        claimed={"sent for g1": "3"},
    ),
)
