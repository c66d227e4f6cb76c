"""What a client notices when its server is missing, killed, or busy with another client."""

import socket

from localechod.lab.experiment import Experiment
from localechod.lab.programs import RECORD, record, show
from localechod.lab.sandbox import STREAM, Facts, Sandbox, call, listening, local, pause, result
from localechod.localsocket import diag


def only_client(sandbox: Sandbox) -> Facts:
    """Start the client without a server."""
    client = sandbox.program("streamclient", STREAM)
    termination = client.wait()
    return {"client": client.transcript[0], "termination": termination}


def server_killed(sandbox: Sandbox) -> Facts:
    """Kill the server between its read and its reply."""
    path = sandbox.path(STREAM)

    def read_without_reply() -> None:
        listener = listening(path)
        connection, _ = listener.accept()
        connection.recv(RECORD, socket.MSG_WAITALL)
        show("(has read, does not reply)")
        pause()

    server = sandbox.script(read_without_reply, "server")
    server.read_line()
    client = sandbox.program("streamclient", STREAM)
    client.type("g1")
    server.read_line()
    server.kill()
    server.wait()
    termination = client.wait()
    return {"client": client.transcript[1], "termination": termination}


def server_killed_idle(sandbox: Sandbox) -> Facts:
    """Kill the server while the client waits for input."""
    server = sandbox.program("streamserver", STREAM)
    server.read_line()
    client = sandbox.program("streamclient", STREAM)
    client.type("g1")
    client.read_line()
    server.read_line()
    server.kill()
    server.wait()
    client.type("g2")
    termination = client.wait()
    return {"client": client.transcript[-2], "termination": termination}


def one_client(sandbox: Sandbox) -> Facts:
    """Connect a second client while the first is being served."""
    path = sandbox.path(STREAM)
    server = sandbox.program("streamserver", STREAM)
    server.read_line()
    first = sandbox.program("streamclient", STREAM)
    first.type("g1")
    first.read_line()

    def connect_second() -> None:
        sock = local()
        call("connect()", lambda: sock.connect(path))
        call('write("g2")', lambda: sock.send(record(b"g2\n")))
        call("read()", lambda: sock.recv(RECORD))

    second = sandbox.script(connect_second, "client")
    connected, wrote = map(result, second.read_lines(2))
    (listener,) = (each for each in diag.named(path.encode()) if each.state == diag.STATE_LISTEN)
    sandbox.note(f"listener: {listener.queue} in the backlog")
    first.interrupt()
    first.wait()
    termination = server.wait()
    return {
        "second connect": connected,
        "second write": wrote,
        "in the backlog": listener.queue,
        "second read": result(second.read_line()),
        "server": termination,
    }


EXPERIMENTS = (
    Experiment(
        "only-client",
        only_client,
        {"client": "connect failed: No such file or directory (2)", "termination": "exit 1"},
    ),
    Experiment(
        "server-killed",
        server_killed,
        {"client": "server terminated prematurely", "termination": "exit 1"},
    ),
    Experiment(
        "server-killed-idle",
        server_killed_idle,
        {"client": "g2", "termination": "SIGPIPE"},
        claimed={"client": "server terminated prematurely", "termination": "exit 1"},
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
