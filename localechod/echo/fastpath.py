"""What runs for each event: the compiled part where it is there, else portable/.

Both have the same interface and give the same results. The compiled part (_fastpath*.c) also
answers ordinary messages itself, and returns anything else to Python. docs/performance.md has the
measurements. With LOCALECHOD_PURE_PYTHON in the environment the compiled part is not loaded.
"""

import os
from contextlib import suppress

from localechod.echo.portable.datagrams import AnswerDatagrams, answer_datagrams
from localechod.echo.portable.flow import Flow
from localechod.echo.portable.poller import BATCH, CHILD_BATCH, Poller
from localechod.echo.portable.proof import CHECK_MICROSECONDS, Proof
from localechod.echo.portable.shares import CHILD_TIME
from localechod.echo.portable.table import Handler
from localechod.echo.portable.totals import Totals

__all__ = ["BATCH", "CHECK_MICROSECONDS", "CHILD_BATCH", "CHILD_TIME", "CHUNKS", "COMPILED"]
__all__ += ["LINES", "LONGEST_PREFIX", "LONGEST_READ", "PYTHON", "SEQPACKET", "AnswerDatagrams"]
__all__ += ["Flow", "Handler", "Poller", "Proof", "Totals", "datagram_function"]

# The compiled part has the values below, and BATCH, CHILD_BATCH, CHILD_TIME and
# CHECK_MICROSECONDS, in _fastpath.h; a test compares them.

# The kind of a flow: what one message is, as far as the compiled part can serve it.
PYTHON = 0  # the compiled part does not serve this flow
CHUNKS = 1  # the bytes of one read
LINES = 2  # complete lines
SEQPACKET = 3  # the bytes of one read; the kernel keeps the boundaries

# Bytes of the longest prefix: the size of a buffer of the compiled part.
LONGEST_PREFIX = 1024

# Bytes of the longest read, likewise.
LONGEST_READ = 1 << 17

COMPILED = False
_answer_compiled: AnswerDatagrams = answer_datagrams
if "LOCALECHOD_PURE_PYTHON" not in os.environ:
    with suppress(ImportError):
        from localechod.echo._fastpath import Flow, Poller, Proof, Totals
        from localechod.echo._fastpath import answer_datagrams as _answer_compiled

        COMPILED = True


def datagram_function(limit: int) -> AnswerDatagrams:
    """Return the function that answers datagrams of up to `limit` bytes; see answer_datagrams."""
    return _answer_compiled if limit < LONGEST_READ else answer_datagrams
