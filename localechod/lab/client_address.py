"""The address of a datagram client: to whom a reply goes, and what is left of it."""

import os
import socket
from pathlib import Path

from localechod.lab.experiment import Experiment
from localechod.lab.sandbox import CLIENT, DATA, Facts, Sandbox, call, local, pause


def no_name(sandbox: Sandbox) -> Facts:
    """Send a datagram from an unbound socket."""
    path = sandbox.path(DATA)
    server = sandbox.program("dataserver", DATA)
    server.read_line()

    def calls() -> None:
        client = local(socket.SOCK_DGRAM)
        call('sendto("g1")', lambda: client.sendto(b"g1", path))
        call("getsockname()", lambda: client.getsockname() or b"")

    sent, name = sandbox.results(calls)
    termination = server.wait()
    return {
        "sendto": sent,
        "name": name,
        "server": server.transcript[-2],
        "termination": termination,
    }


def path_needed(sandbox: Sandbox) -> Facts:
    """Bind the client to an abstract name that the kernel chooses."""
    path = sandbox.path(DATA)
    sandbox.program("dataserver", DATA).read_line()

    def calls() -> None:
        client = local(socket.SOCK_DGRAM)
        call("bind(AF_UNIX alone)", lambda: client.bind(""))
        call('sendto("g1")', lambda: client.sendto(b"g1", path))
        call("recvfrom()", lambda: client.recv(64))

    bound, _, reply = sandbox.results(calls)
    files = [each.name for each in sandbox.directory.iterdir()]
    return {"bind": bound, "reply": reply, "files": " ".join(files)}


def udp_no_bind(sandbox: Sandbox) -> Facts:
    """Send over UDP from an unbound socket, and receive a reply."""

    def calls() -> None:
        server, client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        server.bind(("127.0.0.1", 0))
        client.settimeout(10)
        call("port before", lambda: client.getsockname()[1])
        call('sendto("g1")', lambda: client.sendto(b"g1", server.getsockname()))
        call("port chosen by sendto", lambda: client.getsockname()[1] > 0)
        data, sender = server.recvfrom(64)
        server.sendto(b"Hi, " + data, sender)
        call("recvfrom()", lambda: client.recv(64))

    before, _, after, reply = sandbox.results(calls)
    return {"port before": before, "port chosen by sendto": after, "reply": reply}


def left_behind(sandbox: Sandbox) -> Facts:
    """Look for the client's file after the client was interrupted by Ctrl-C."""
    server = sandbox.program("dataserver", DATA)
    server.read_line()
    client = sandbox.program("dataclient", DATA, CLIENT)
    client.type("g1")
    client.read_lines(2)
    client.interrupt()
    client.wait()
    path = Path(sandbox.path(CLIENT))
    sandbox.run("ls", "-l", str(path))
    again = sandbox.program("dataclient", DATA, CLIENT)
    again.wait()
    return {"file remains": path.is_socket(), "next client of that name": again.transcript[0]}


def tmpnam_race(sandbox: Sandbox) -> Facts:
    """Create a file of the chosen name between choosing it, as tmpnam(3) does, and binding it."""
    chosen = Path(sandbox.path("file-a1b2c3"))

    def choose_and_bind() -> None:
        call(f'stat("{chosen}")', lambda: os.stat(chosen))  # noqa: PTH116 - the system call that is shown
        pause()
        call(f'bind("{chosen}")', lambda: local(socket.SOCK_DGRAM).bind(str(chosen)))

    client = sandbox.script(choose_and_bind, "client")
    client.read_line()
    sandbox.run("touch", str(chosen))
    client.resume()
    client.read_line()
    free, bound = (line.split()[3] if "-1" in line else "0" for line in client.transcript)
    return {"name is free": free, "bind": bound}


EXPERIMENTS = (
    Experiment(
        "no-name",
        no_name,
        {
            "sendto": "2",
            "name": "0",
            "server": "sendto failed: Transport endpoint is not connected (107)",
            "termination": "exit 1",
        },
    ),
    Experiment(
        "path-needed",
        path_needed,
        {"bind": "0", "reply": '6 "Hi, g1"', "files": DATA},
        claimed={"bind": "EINVAL"},
    ),
    Experiment(
        "udp-no-bind",
        udp_no_bind,
        {"port before": "0", "port chosen by sendto": "True", "reply": '6 "Hi, g1"'},
    ),
    Experiment(
        "left-behind",
        left_behind,
        {
            "file remains": True,
            "next client of that name": "bind failed: Address already in use (98)",
        },
        claimed={"file remains": False},
    ),
    Experiment(
        "tmpnam-race",
        tmpnam_race,
        {"name is free": "ENOENT", "bind": "EADDRINUSE"},
        claimed={"bind": "0"},
    ),
)
