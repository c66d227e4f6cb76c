"""Peers cause log lines of every kind at once: few are written, and the rest are counted."""

import json
import subprocess
import sys
import time

from localechod.limits import LOG_LINES
from tests.integration.harness import CHECKOUT, Daemon, needs_root, until

USERS = (2, 5)  # ordinary users of every Debian: bin and games
TURNS = 300

ENDPOINTS = """
[defaults]
mode = "0666"
[endpoints.listed]
type = "stream"
allow = ["root"]
[endpoints.listed-datagram]
type = "datagram"
allow = ["root"]
[endpoints.one]
type = "stream"
max_connections_per_user = 1
[endpoints.lines]
type = "stream"
log_messages = true
[endpoints.records]
type = "seqpacket"
log_messages = true
[endpoints.datagrams]
type = "datagram"
log_messages = true
"""

# Its arguments: the runtime directory, and how many times each kind is caused.
FLOOD = r"""
import socket, sys
runtime, turns = sys.argv[1], int(sys.argv[2])
STREAM, DATAGRAM, SEQPACKET = 1, 2, 5

def connected(name, kind):
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.settimeout(5)
    sock.connect(f"{runtime}/{name}")
    return sock

def refused(name, *data):
    with connected(name, STREAM) as sock:
        try:
            for each in data:
                sock.send(each)
            while sock.recv(4096):
                pass
        except OSError:
            pass

def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(
        4, "big") + payload

def text(index, value):
    return index + bytes([len(value)]) + value

UNKNOWN = frame(1, 5, 1, b"\x83\x86" + text(b"\x04", b"/localechod.v1.Control/No") + text(
    b"\x0f\x10", b"application/grpc"))
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)

one = connected("one.sock", STREAM)
one.send(b"x\n"), one.recv(100)
lines, records = connected("lines.sock", STREAM), connected("records.sock", SEQPACKET)
datagrams, listed = (
    connected(f"{name}.sock", DATAGRAM) for name in ("datagrams", "listed-datagram")
)
datagrams.bind("")
for _ in range(turns):
    refused("listed.sock")
    refused("one.sock")
    listed.send(b"x")
    for sock in (lines, records, datagrams):
        sock.send(b"hello\n")
        sock.recv(100)
    refused("control.sock", PREFACE, UNKNOWN, frame(0, 0, 0, b"not for a stream"))
    refused("control.sock", b"GET / HTTP/1.1\r\n\r\n")
"""


@needs_root
def test_peers_cause_ten_lines_in_a_second_whatever_they_do(daemon: Daemon) -> None:
    daemon.configure(ENDPOINTS)
    daemon.start()
    until(lambda: " serves as " in daemon.log.read_text(encoding="utf-8"))  # its last line
    before = len(daemon.log.read_text(encoding="utf-8").splitlines())
    words = [sys.executable, "-I", "-c", FLOOD, str(daemon.runtime), str(TURNS)]
    begin = time.monotonic()
    floods = [
        subprocess.Popen(
            ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *words], cwd=CHECKOUT
        )
        for uid in USERS
    ]
    assert [flood.wait(60) for flood in floods] == [0, 0]
    seconds = time.monotonic() - begin
    lines = daemon.log.read_text(encoding="utf-8").splitlines()[before:]
    assert LOG_LINES <= len(lines) <= LOG_LINES * (seconds + 1), lines
    about = json.loads(daemon.ctl("status", "--json").stdout)["daemon"]
    # Each turn causes eight lines at most, and each of these six in any case.
    assert len(USERS) * TURNS * 6 - len(lines) <= about["log_lines_left_out_total"]
    assert about["log_lines_left_out_total"] <= len(USERS) * TURNS * 8
    left_out = f"left out of the log: {about['log_lines_left_out_total']} lines about peers\n"
    assert left_out in daemon.ctl("status").stdout

    def told() -> bool:
        with daemon.connect("lines") as sock:
            sock.sendall(b"root\n")
            sock.recv(100)
        return "Receive: root\n" in daemon.log.read_text(encoding="utf-8")

    until(told)
