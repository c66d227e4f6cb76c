"""Large blocks are returned to the system when they are free."""

import subprocess
import sys

from tests.integration.harness import CHECKOUT

# Blocks of a growing size, so that without the setting the C library takes later ones from the
# heap; and small ones behind them, which keep the heap from shrinking.
_SCRIPT = """
import sys
from localechod.host.memory import return_large_blocks
def resident():
    text = open("/proc/self/status").read()
    return int(text.partition("VmRSS:")[2].split()[0]) << 10
if sys.argv[1] == "set":
    return_large_blocks()
bytearray(16 << 20)
before = resident()
large, small = [], []
for _ in range(256):
    large.append(bytearray(b"x" * (256 << 10)))
    small.append(bytearray(b"x" * 2000))
large.clear()
print(resident() - before)
"""


def left(argument: str) -> int:
    """Return the bytes that a process keeps of 64 MiB that it had."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, argument],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


def test_free_blocks_leave_no_gaps_in_the_heap() -> None:
    assert left("unset") > 32 << 20  # else nothing is shown, as with another C library
    assert left("set") < 8 << 20
