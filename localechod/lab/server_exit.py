"""What a client notices of a server that is not there, ends, or serves another one."""

import socket

from localechod.lab.experiment import Experiment
from localechod.lab.programs import RECORD, record, show
from localechod.lab.sandbox import STREAM, Facts, Stage, call, local, pause, result
from localechod.localsocket import diag


def only_client(stage: Stage) -> Facts:
    """Start the client alone."""
    client = stage.peer("streamclient", STREAM)
    ending = client.end()
    return {"client": client.screen[0], "ending": ending}


def server_killed(stage: Stage) -> Facts:
    """Kill the server between its read and its reply."""
    path = stage.path(STREAM)

    def read_and_be_silent() -> None:
        listener = local()
        listener.bind(path)
        listener.listen()
        show("(listening)")
        connection, _ = listener.accept()
        connection.recv(RECORD, socket.MSG_WAITALL)
        show("(has read, does not answer)")
        pause()

    server = stage.script(read_and_be_silent, "server")
    server.line()
    client = stage.peer("streamclient", STREAM)
    client.type("g1")
    server.line()
    server.kill()
    server.end()
    ending = client.end()
    return {"client": client.screen[1], "ending": ending}


def server_killed_idle(stage: Stage) -> Facts:
    """Kill the server while the client waits for its user."""
    server = stage.peer("streamserver", STREAM)
    server.line()
    client = stage.peer("streamclient", STREAM)
    client.type("g1")
    client.line()
    server.line()
    server.kill()
    server.end()
    client.type("g2")
    ending = client.end()
    return {"client": client.screen[-2], "ending": ending}


def one_client(stage: Stage) -> Facts:
    """Let a second client come while the first is being served."""
    path = stage.path(STREAM)
    server = stage.peer("streamserver", STREAM)
    server.line()
    first = stage.peer("streamclient", STREAM)
    first.type("g1")
    first.line()

    def come_second() -> None:
        sock = local()
        call("connect()", lambda: sock.connect(path))
        call('write("g2")', lambda: sock.send(record(b"g2\n")))
        call("read()", lambda: sock.recv(RECORD))

    second = stage.script(come_second, "client")
    connected, wrote = map(result, second.lines(2))
    (listener,) = (each for each in diag.named(path.encode()) if each.state == diag.STATE_LISTEN)
    stage.note(f"listener: {listener.queue} in the backlog")
    first.interrupt()
    first.end()
    ending = server.end()
    return {
        "second connect": connected,
        "second write": wrote,
        "in the backlog": listener.queue,
        "second read": result(second.line()),
        "server": ending,
    }


EXPERIMENTS = (
    Experiment(
        "only-client",
        only_client,
        {"client": "connect failed: No such file or directory (2)", "ending": "exit 1"},
    ),
    Experiment(
        "server-killed",
        server_killed,
        {"client": "server terminated prematurely", "ending": "exit 1"},
    ),
    Experiment(
        "server-killed-idle",
        server_killed_idle,
        {"client": "g2", "ending": "SIGPIPE"},
        claimed={"client": "server terminated prematurely", "ending": "exit 1"},
    ),
    Experiment(
        "one-client",
        one_client,
        {
            "second connect": "0",
            "second write": str(RECORD),
            "in the backlog": 1,
            "second read": "ECONNRESET",
            "server": "exit 0",
        },
        claimed={"in the backlog": 0},
    ),
)
