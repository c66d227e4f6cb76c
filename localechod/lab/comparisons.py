"""Local sockets compared with TCP, UDP and pipes; and gRPC over a local socket."""

import socket
import struct
from collections.abc import Callable

from localechod.lab.experiment import Experiment
from localechod.lab.sandbox import STREAM, Facts, Sandbox, SkippedError, call, local
from localechod.lab.timing import EchoTransport, Ratio, compare

# struct tcp_info, linux/tcp.h: the offset of tcpi_segs_out, which tcpi_segs_in follows.
_SEGMENTS_OUT = 136
_TCP_INFO = 232


def no_handshake(sandbox: Sandbox) -> Facts:
    """Connect to servers that do not accept, and count the TCP segments."""
    path = sandbox.path(STREAM)

    def calls() -> None:
        server, client = local(), local()
        server.bind(path)
        server.listen()
        call("AF_UNIX connect()", lambda: client.connect(path))
        call("AF_UNIX TCP_INFO", lambda: _segments(client))
        tcp, other = (socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(2))
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        call("AF_INET connect()", lambda: other.connect(tcp.getsockname()))
        call("AF_INET TCP_INFO: segments", lambda: _segments(other))

    results = sandbox.results(calls)
    return dict(zip(("connect", "segments", "TCP connect", "TCP segments"), results, strict=True))


def through_the_stack(sandbox: Sandbox) -> Facts:
    """Count the TCP segments for three messages on the loopback interface."""

    def calls() -> None:
        one, _other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        call("AF_UNIX TCP_INFO", lambda: _segments(one))
        tcp, client = (socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(2))
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        client.connect(tcp.getsockname())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        before = _segments(client)
        for text in (b"g1", b"g2", b"g3"):
            client.send(text)
        call("AF_INET segments for 3 messages, at least 3", lambda: _segments(client) - before >= 3)

    local_, tcp = sandbox.results(calls)
    return {"local": local_, "TCP": tcp}


def _segments(sock: socket.socket) -> int:
    """Return the number of segments that a TCP socket sent and received (TCP_INFO, tcp(7))."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO)
    return sum(struct.unpack_from("=II", info, _SEGMENTS_OUT))


def _faster(fast: EchoTransport, slow: EchoTransport) -> Callable[[Sandbox], Facts]:
    def run(sandbox: Sandbox) -> Facts:
        ratio = compare(fast, slow)
        _note(sandbox, ratio)
        if not (ratio.clearly_faster or ratio.clearly_slower):
            raise SkippedError("unclear")
        return {"faster": ratio.clearly_faster}

    return run


def pipes(sandbox: Sandbox) -> Facts:
    """Compare a local stream with a pair of pipes."""
    ratio = compare(EchoTransport.LOCAL_STREAM, EchoTransport.PIPES)
    _note(sandbox, ratio)
    return {"replies": len(ratio.medians)}


def _note(sandbox: Sandbox, ratio: Ratio) -> None:
    for name, microseconds in ratio.medians.items():
        sandbox.note(f"{name:<32} {microseconds:6.1f} µs")
    low, median, high = ratio.quartiles.low, ratio.quartiles.median, ratio.quartiles.high
    sandbox.note(f"{'ratio (quartiles)':<32} {median:6.2f} ({low:.2f} .. {high:.2f})")


def grpc(sandbox: Sandbox) -> Facts:
    """Start the daemon in the sandbox, and ask it for its status."""
    # Importing gRPC takes longer than running all other experiments.
    from localechod.lab import grpc_daemon  # noqa: PLC0415 - see above

    return grpc_daemon.grpc(sandbox)


EXPERIMENTS = (
    Experiment(
        "no-handshake",
        no_handshake,
        {"connect": "0", "segments": "EOPNOTSUPP", "TCP connect": "0", "TCP segments": "3"},
    ),
    Experiment("through-the-stack", through_the_stack, {"local": "EOPNOTSUPP", "TCP": "True"}),
    Experiment(
        "faster-than-tcp", _faster(EchoTransport.LOCAL_STREAM, EchoTransport.TCP), {"faster": True}
    ),
    Experiment(
        "faster-than-udp",
        _faster(EchoTransport.LOCAL_DATAGRAM, EchoTransport.UDP),
        {"faster": True},
    ),
    Experiment("pipes", pipes, {"replies": 2}),
    Experiment(
        "grpc",
        grpc,
        {"socket": True, "pid": True, "endpoint": "listening", "termination": "exit 0"},
    ),
)
