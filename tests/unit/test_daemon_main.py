"""The daemon's program: what its start leaves to the garbage collector, and what it loads."""

import os
import subprocess
import sys

_CHECK = """
import gc, sys
from localechod.daemon.__main__ import main
assert main(["--check"]) == 0
print(gc.isenabled(), gc.get_freeze_count() > 10_000, file=sys.stderr)
"""


def test_what_was_imported_is_not_collected_and_all_else_is() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CHECK], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stderr.splitlines()[-1] == "True True"


_MAPPED = """
import sys
from localechod.daemon.__main__ import main
assert main(["--check"]) == 0
maps = open("/proc/self/maps").read()
print([name for name in ("_hashlib", "_ssl") if f"/{name}." in maps], file=sys.stderr)
"""


def test_openssl_is_not_loaded() -> None:
    # Measuring coverage loads modules of its own.
    clean = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", _MAPPED],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=clean,
    )
    assert done.stderr.splitlines()[-1] == "[]"
