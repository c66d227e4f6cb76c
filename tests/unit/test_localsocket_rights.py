"""A passed descriptor whose release waits, as of a client that connected before the refusal."""

import subprocess
import sys

# A linger of ten minutes: the process ends in time only if the wait is ended.
PROGRAM = """
import socket, struct
from localechod.localsocket.rights import releases_interrupted
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
other = server.accept()[0]
client.setblocking(False)
try:
    while True:
        client.send(bytes(65536))
except BlockingIOError:
    pass
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
reader, writer = socket.socketpair()
socket.send_fds(writer, [b"x"], [client.fileno()])
client.close()
with releases_interrupted(always=True):
    print(reader.recv(1).decode())
"""


def test_a_signal_ends_the_wait_for_a_release() -> None:
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "x\n", "")
