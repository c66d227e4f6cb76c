"""Other people's clients: socat, ncat and OpenBSD's nc, each as its manual has it."""

import os
import select
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.harness import DEADLINE, Daemon


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        shutil.which(program) is None, reason=f"{program} is not installed here"
    )


def talk(command: Sequence[str], text: str) -> str:
    """Run a client with something to say; return what it heard."""
    # A client's own socket gets the mode that its umask leaves, and a daemon that is another user
    # may only answer where it may write.
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=DEADLINE, check=True, umask=0
    )
    return done.stdout


def first_reply(command: Sequence[str], text: str) -> str:
    """Run a client that ends with its input, whatever it still waits for; so keep that open."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, umask=0
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            client.stdin.write(text.encode())
            client.stdin.flush()
            assert select.select([client.stdout], [], [], DEADLINE)[0], "no reply in time"
            return os.read(client.stdout.fileno(), 4096).decode()
        finally:
            client.kill()


@pytest.fixture
def serving(daemon: Daemon) -> Daemon:
    """A daemon with an endpoint of each kind."""
    name = f"le-test-{os.getpid()}-{daemon.directory.name}"
    daemon.configure(
        '[defaults]\nmode = "0666"\n'
        '[endpoints.stream]\ntype = "stream"\n'
        '[endpoints.datagram]\ntype = "datagram"\n'
        '[endpoints.seqpacket]\ntype = "seqpacket"\n'
        f'[endpoints.abstract]\ntype = "stream"\npath = "@{name}"\n'
        f'[endpoints.abstract-datagram]\ntype = "datagram"\npath = "@{name}-datagram"\n'
    )
    return daemon.start()


def abstract(daemon: Daemon) -> str:
    return f"le-test-{os.getpid()}-{daemon.directory.name}"


@needs("socat")
def test_socat_stream(serving: Daemon) -> None:
    said = talk(["socat", "-", f"UNIX-CONNECT:{serving.path('stream')}"], "g1\ng2\n")
    assert said == "Hi, g1\nHi, g2\n"


@needs("socat")
def test_socat_without_a_newline_at_the_end(serving: Daemon) -> None:
    assert talk(["socat", "-", f"UNIX-CONNECT:{serving.path('stream')}"], "g1") == "Hi, g1"


@needs("socat")
def test_socat_abstract(serving: Daemon) -> None:
    assert talk(["socat", "-", f"ABSTRACT-CONNECT:{abstract(serving)}"], "g1\n") == "Hi, g1\n"


@needs("socat")
def test_socat_seqpacket(serving: Daemon) -> None:
    address = f"UNIX-CONNECT:{serving.path('seqpacket')},type=5"
    assert talk(["socat", "-t", "5", "-", address], "g1") == "Hi, g1"


@needs("socat")
@pytest.mark.parametrize("address", ["UNIX-SENDTO", "UNIX-CLIENT"])
def test_socat_datagram(serving: Daemon, sockdir: Path, address: str) -> None:
    to = f"{address}:{serving.path('datagram')},bind={sockdir}/me"
    assert first_reply(["socat", "-", to], "g1") == "Hi, g1"


@needs("socat")
def test_socat_abstract_datagram(serving: Daemon) -> None:
    name = abstract(serving)
    to = f"ABSTRACT-SENDTO:{name}-datagram,bind={name}-me"
    assert first_reply(["socat", "-", to], "g1") == "Hi, g1"


@needs("ncat")
def test_ncat_stream(serving: Daemon) -> None:
    assert talk(["ncat", "-U", serving.path("stream")], "g1\ng2\n") == "Hi, g1\nHi, g2\n"


@needs("ncat")
def test_ncat_datagram(serving: Daemon, sockdir: Path) -> None:
    # Without -s it makes a socket file in /tmp, which stays there when it is killed.
    command = ["ncat", "-U", "-u", "-s", f"{sockdir}/me", serving.path("datagram")]
    assert first_reply(command, "g1\n") == "Hi, g1\n"


@needs("nc.openbsd")
def test_openbsd_nc_stream(serving: Daemon) -> None:
    assert talk(["nc.openbsd", "-N", "-U", serving.path("stream")], "g1\n") == "Hi, g1\n"


@needs("nc.openbsd")
def test_openbsd_nc_datagram(serving: Daemon, sockdir: Path) -> None:
    command = ["nc.openbsd", "-U", "-u", "-W", "1", "-s", f"{sockdir}/me", serving.path("datagram")]
    assert talk(command, "g1\n") == "Hi, g1\n"
