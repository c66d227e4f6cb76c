"""One attack by an ordinary user: `python -m tests.attacks.mallory NAME DIRECTORY N SECONDS`.

It has to be started as root, so that it can import what an ordinary user cannot read.
"""

import os
import signal
import sys
import time
import traceback
from pathlib import Path

from tests.attacks.aim import Aim
from tests.attacks.catalog import ATTACKS

FIRST_UID = 61_000  # users without an account

_MORE = 15  # seconds to come to an end


def main() -> None:
    """Run the attack in a process for each of its users, and wait for them."""
    name, directory, connections, seconds = sys.argv[1:]
    attack = ATTACKS[name]
    aim = Aim(Path(directory), int(connections), time.monotonic() + float(seconds))
    children = []
    for uid in range(FIRST_UID, FIRST_UID + attack.users):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                signal.alarm(int(float(seconds)) + _MORE)
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                attack.run(aim)
                status = 0
            except Exception:  # noqa: BLE001 - the process that was forked must not return from here
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(pid)
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    sys.exit(max(map(abs, ends)))


if __name__ == "__main__":
    main()
