"""What a client meets when its server is overloaded, is killed, or ends a connection badly."""

import socket
from functools import partial

from localechod.lab.experiment import Experiment
from localechod.lab.programs import show
from localechod.lab.sandbox import (
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

MESSAGE = b"g1\n"


def _connected(path: str) -> socket.socket:
    sock = local()
    sock.connect(path)
    return sock


def full_backlog(sandbox: Sandbox) -> Facts:
    """Connect without blocking to a server that does not accept, until one connect fails."""
    path = sandbox.path(STREAM)

    def serve() -> None:
        listener = local()
        listener.bind(path)
        listener.listen(1)
        show("(listening, with a backlog of 1)")
        pause()
        call("accept()", lambda: listener.accept() and None)
        pause()

    def connect() -> None:
        socks = [local() for _ in range(3)]
        for sock in (*socks, socks[-1]):
            sock.setblocking(False)
            call("connect()", partial(sock.connect, path))
            if sock is socks[-1]:
                pause()

    server = sandbox.script(serve, "server")
    server.read_line()
    client = sandbox.script(connect, "client")
    connects = list(map(result, client.read_lines(3)))
    server.resume()
    server.read_line()
    client.resume()
    return {"connects": " ".join(connects), "after an accept": result(client.read_line())}


def half_close(sandbox: Sandbox) -> Facts:
    """End the server's sending side only, then write to it."""
    path = sandbox.path(STREAM)

    def serve() -> None:
        listener = listening(path)
        connection, _ = listener.accept()
        call("shutdown(SHUT_WR)", lambda: connection.shutdown(socket.SHUT_WR))
        call("read()", lambda: connection.recv(100))

    def ask() -> None:
        sock = _connected(path)
        call("read()", lambda: sock.recv(100))
        call('write("g1\\n")', lambda: sock.send(MESSAGE))

    server = sandbox.script(serve, "server")
    server.read_line()
    client = sandbox.script(ask, "client")
    read, wrote = map(result, client.read_lines(2))
    shut, received = server.read_lines(2)
    return {
        "server's shutdown": result(shut),
        "client's read": read,
        "client's write": wrote,
        "server's read": result(received).partition(" ")[0],
    }


def close_unread(sandbox: Sandbox) -> Facts:
    """Have the server reply to the first of two messages, and close."""
    path = sandbox.path(STREAM)

    def serve() -> None:
        listener = listening(path)
        connection, _ = listener.accept()
        call("read()", lambda: connection.recv(len(MESSAGE), socket.MSG_WAITALL))
        call('write("Hi\\n")', lambda: connection.send(b"Hi\n"))
        pause()
        call("close()", connection.close)

    def ask() -> None:
        sock = _connected(path)
        call('write("g1\\ng1\\n")', lambda: sock.send(2 * MESSAGE))
        pause()
        for _ in range(3):
            call("read()", lambda: sock.recv(100))

    server = sandbox.script(serve, "server")
    server.read_line()
    client = sandbox.script(ask, "client")
    client.read_line()
    server.read_lines(2)
    server.resume()
    server.read_line()
    client.resume()
    replies = [result(line).partition(" ")[0] for line in client.read_lines(3)]
    return {"client's reads": " ".join(replies)}


def killed_with_request(sandbox: Sandbox) -> Facts:
    """Kill the server before it reads the request."""
    path = sandbox.path(STREAM)

    def serve() -> None:
        listener = listening(path)
        _kept = listener.accept()
        show("(has accepted, does not read)")
        pause()

    def ask() -> None:
        sock = _connected(path)
        call('write("g1\\n")', lambda: sock.send(MESSAGE))
        call("read()", lambda: sock.recv(100))
        pause()
        call("connect()", lambda: local().connect(path))

    server = sandbox.script(serve, "server")
    server.read_line()
    client = sandbox.script(ask, "client")
    client.read_line()
    server.read_line()
    server.kill()
    server.wait()
    read = result(client.read_line())
    client.resume()  # of a killed process, the kernel closes one socket after the other
    return {"client's read": read, "next connect": result(client.read_line())}


def lost_datagram(sandbox: Sandbox) -> Facts:
    """Send to a server that is killed before it reads, and to the one that follows it."""
    path = sandbox.path(DATA)

    def serve() -> None:
        sock = local(socket.SOCK_DGRAM)
        sock.bind(path)
        show("(bound)")
        pause()

    def serve_again() -> None:
        sandbox.directory.joinpath(DATA).unlink()
        sock = local(socket.SOCK_DGRAM)
        sock.bind(path)
        call("recv()", lambda: sock.recv(100, socket.MSG_DONTWAIT))

    def send() -> None:
        sock = local(socket.SOCK_DGRAM)
        call('sendto("g1\\n")', lambda: sock.sendto(MESSAGE, path))
        pause()
        call('sendto("g1\\n")', lambda: sock.sendto(MESSAGE, path))

    server = sandbox.script(serve, "server")
    server.read_line()
    client = sandbox.script(send, "client")
    sent = result(client.read_line())
    server.kill()
    server.wait()
    client.resume()
    failed = result(client.read_line())
    second = sandbox.script(serve_again, "next server")
    return {"sendto": sent, "sendto after the kill": failed, "recv": result(second.read_line())}


EXPERIMENTS = (
    Experiment(
        "full-backlog",
        full_backlog,
        {"connects": "0 0 EAGAIN", "after an accept": "0"},
        claimed={"connects": "0 0 EINPROGRESS"},
    ),
    Experiment(
        "half-close",
        half_close,
        {
            "server's shutdown": "0",
            "client's read": "0",
            "client's write": "3",
            "server's read": "3",
        },
        claimed={"client's read": "0", "client's write": "EPIPE"},
    ),
    Experiment(
        "close-unread",
        close_unread,
        {"client's reads": "3 ECONNRESET 0"},
        claimed={"client's reads": "3 0 0"},
    ),
    Experiment(
        "killed-with-request",
        killed_with_request,
        {"client's read": "ECONNRESET", "next connect": "ECONNREFUSED"},
        claimed={"client's read": "0"},
    ),
    Experiment(
        "lost-datagram",
        lost_datagram,
        {"sendto": "3", "sendto after the kill": "ECONNREFUSED", "recv": "EAGAIN"},
        claimed={"sendto": "3", "recv": "3"},
    ),
)
