"""How clients leave, and what the server notices of it."""

import socket

from localechod.lab.experiment import Experiment
from localechod.lab.programs import RECORD, record, show
from localechod.lab.sandbox import CLIENT, DATA, STREAM, Facts, Stage, call, local, pause, result


def ctrl_c(stage: Stage) -> Facts:
    """Press Ctrl-C in an idle client."""
    server = stage.peer("streamserver", STREAM)
    server.line()
    client = stage.peer("streamclient", STREAM)
    client.type("g1")
    client.line()
    client.interrupt()
    client.end()
    ending = server.end()
    return {"server": server.screen[-2], "ending": ending}


def empty_message(stage: Stage) -> Facts:
    """Write nothing, read; then kill the client, and read three times."""
    path = stage.path(STREAM)

    def serve() -> None:
        listener = local()
        listener.bind(path)
        listener.listen()
        show("(listening)")
        connection, _ = listener.accept()
        pause()
        call("read()", lambda: connection.recv(RECORD, socket.MSG_DONTWAIT))
        pause()
        for _ in range(3):
            call("read()", lambda: connection.recv(RECORD, socket.MSG_DONTWAIT))

    def write_nothing() -> None:
        sock = local()
        sock.connect(path)
        call('write("")', lambda: sock.send(b""))
        pause()

    server = stage.script(serve, "server")
    server.line()
    client = stage.script(write_nothing, "client")
    client.line()
    server.step()
    first = result(server.line())
    client.kill()
    client.end()
    server.step()
    return {
        "read after an empty write": first,
        "reads after the kill": " ".join(map(result, server.lines(3))),
    }


def killed_unread(stage: Stage) -> Facts:
    """Kill a client that has not read its reply."""
    path = stage.path(STREAM)
    server = stage.peer("streamserver", STREAM)
    server.line()

    def ask_and_never_read() -> None:
        sock = local()
        sock.connect(path)
        call('write("g1")', lambda: sock.send(record(b"g1\n")))
        sock.recv(1, socket.MSG_PEEK)
        show("(the reply is there, unread)")
        pause()

    client = stage.script(ask_and_never_read, "client")
    client.lines(2)
    client.kill()
    client.end()
    ending = server.end()
    return {"server": server.screen[2], "ending": ending}


def datagram_leaving(stage: Stage) -> Facts:
    """Press Ctrl-C in one datagram client, then let another one come."""
    server = stage.peer("dataserver", DATA)
    server.line()
    for number in (1, 2):
        client = stage.peer("dataclient", DATA, f"client{number}.sock")
        client.type(f"g{number}")
        replies = client.lines(2)
        server.lines(2)
        client.interrupt()
        client.end()
    return {
        "next client": replies[1],
        "server runs": server.runs,
        "client quit": "client quit" in server.screen,
    }


def datagram_empty(stage: Stage) -> Facts:
    """Press Enter in the datagram client, then let another one come."""
    server = stage.peer("dataserver", DATA)
    server.line()
    client = stage.peer("dataclient", DATA, CLIENT)
    client.type("")
    client.line()
    ending = server.end()
    said = server.screen[-2]
    runs = client.runs
    stage.note("client: still running" if runs else "client: gone")
    other = stage.peer("dataclient", DATA, "client2.sock")
    other.type("g1")
    return {
        "server": said,
        "ending": ending,
        "client runs": runs,
        "next client": other.lines(2)[1],
    }


EXPERIMENTS = (
    Experiment("ctrl-c", ctrl_c, {"server": "client quit", "ending": "exit 0"}),
    Experiment(
        "empty-message",
        empty_message,
        {"read after an empty write": "EAGAIN", "reads after the kill": "0 0 0"},
        claimed={"read after an empty write": "0", "reads after the kill": "0 EAGAIN EAGAIN"},
    ),
    Experiment(
        "killed-unread",
        killed_unread,
        {"server": "read failed: Connection reset by peer (104)", "ending": "SIGPIPE"},
        claimed={"server": "client quit", "ending": "exit 0"},
    ),
    Experiment(
        "datagram-leaving",
        datagram_leaving,
        {"next client": "Hi, g2", "server runs": True, "client quit": False},
        claimed={"client quit": True},
    ),
    Experiment(
        "datagram-empty",
        datagram_empty,
        {
            "server": "client quit",
            "ending": "exit 0",
            "client runs": True,
            "next client": "sendto failed: Connection refused (111)",
        },
        claimed={"client runs": False},
    ),
)
