"""What a server notices when a client exits."""

import socket

from localechod.lab.experiment import Experiment
from localechod.lab.programs import RECORD, record, show
from localechod.lab.sandbox import (
    CLIENT,
    DATA,
    STREAM,
    Facts,
    Sandbox,
    call,
    listening,
    local,
    pause,
    result,
)


def ctrl_c(sandbox: Sandbox) -> Facts:
    """Press Ctrl-C in an idle client."""
    server = sandbox.program("streamserver", STREAM)
    server.read_line()
    client = sandbox.program("streamclient", STREAM)
    client.type("g1")
    client.read_line()
    client.interrupt()
    client.wait()
    termination = server.wait()
    return {"server": server.transcript[-2], "termination": termination}


def empty_message(sandbox: Sandbox) -> Facts:
    """Read after an empty write; then kill the client, and read three times."""
    path = sandbox.path(STREAM)

    def serve() -> None:
        listener = listening(path)
        connection, _ = listener.accept()
        pause()
        call("read()", lambda: connection.recv(RECORD, socket.MSG_DONTWAIT))
        pause()
        for _ in range(3):
            call("read()", lambda: connection.recv(RECORD, socket.MSG_DONTWAIT))

    def write_empty() -> None:
        sock = local()
        sock.connect(path)
        call('write("")', lambda: sock.send(b""))
        pause()

    server = sandbox.script(serve, "server")
    server.read_line()
    client = sandbox.script(write_empty, "client")
    client.read_line()
    server.resume()
    first = result(server.read_line())
    client.kill()
    client.wait()
    server.resume()
    return {
        "read after an empty write": first,
        "reads after the kill": " ".join(map(result, server.read_lines(3))),
    }


def killed_unread(sandbox: Sandbox) -> Facts:
    """Kill a client that has not read its reply."""
    path = sandbox.path(STREAM)
    server = sandbox.program("streamserver", STREAM)
    server.read_line()

    def write_and_never_read() -> None:
        sock = local()
        sock.connect(path)
        call('write("g1")', lambda: sock.send(record(b"g1\n")))
        sock.recv(1, socket.MSG_PEEK)
        show("(the reply is in the receive buffer, unread)")
        pause()

    client = sandbox.script(write_and_never_read, "client")
    client.read_lines(2)
    client.kill()
    client.wait()
    termination = server.wait()
    return {"server": server.transcript[2], "termination": termination}


def datagram_leaving(sandbox: Sandbox) -> Facts:
    """Press Ctrl-C in a datagram client, then start another one."""
    server = sandbox.program("dataserver", DATA)
    server.read_line()
    for number in (1, 2):
        client = sandbox.program("dataclient", DATA, f"client{number}.sock")
        client.type(f"g{number}")
        replies = client.read_lines(2)
        server.read_lines(2)
        client.interrupt()
        client.wait()
    return {
        "next client": replies[1],
        "server running": server.running,
        "client quit": "client quit" in server.transcript,
    }


def datagram_empty(sandbox: Sandbox) -> Facts:
    """Press Enter in a datagram client, then start another one."""
    server = sandbox.program("dataserver", DATA)
    server.read_line()
    client = sandbox.program("dataclient", DATA, CLIENT)
    client.type("")
    client.read_line()
    termination = server.wait()
    last_line = server.transcript[-2]
    running = client.running
    sandbox.note("client: still running" if running else "client: exited")
    other = sandbox.program("dataclient", DATA, "client2.sock")
    other.type("g1")
    return {
        "server": last_line,
        "termination": termination,
        "client running": running,
        "next client": other.read_lines(2)[1],
    }


EXPERIMENTS = (
    Experiment("ctrl-c", ctrl_c, {"server": "client quit", "termination": "exit 0"}),
    Experiment(
        "empty-message",
        empty_message,
        {"read after an empty write": "EAGAIN", "reads after the kill": "0 0 0"},
        claimed={"read after an empty write": "0", "reads after the kill": "0 EAGAIN EAGAIN"},
    ),
    Experiment(
        "killed-unread",
        killed_unread,
        {"server": "read failed: Connection reset by peer (104)", "termination": "SIGPIPE"},
        claimed={"server": "client quit", "termination": "exit 0"},
    ),
    Experiment(
        "datagram-leaving",
        datagram_leaving,
        {"next client": "Hi, g2", "server running": True, "client quit": False},
        claimed={"client quit": True},
    ),
    Experiment(
        "datagram-empty",
        datagram_empty,
        {
            "server": "client quit",
            "termination": "exit 0",
            "client running": True,
            "next client": "sendto failed: Connection refused (111)",
        },
        claimed={"client running": False},
    ),
)
