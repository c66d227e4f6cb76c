"""Draw docs/pictures/map.svg and map.png: `localechoctl sockets --map` of a machine.

    .venv/bin/python -m tools.draw_map [DIRECTORY]

As root, it boots a copy of this machine as tests/system does, with the service, Debian's PostgreSQL
and some clients in it. The layout follows from the sockets: it has nothing random.
"""

# ruff: noqa: INP001 - run as a module, so that it finds the tests' machine and browser

import sys
import tempfile
from pathlib import Path

from tests.integration.browser import PROGRAM, REASON, browser
from tests.system.conftest import SERVICE, install
from tests.system.machine import Machine, booted, eventually, missing

HOST = "shop"
PAGE_SIZE = 1280, 720  # pixels
OPEN = "postgresql"  # the beginning of the unit that is open in the page
NOISE = "Network namespaces outside of this container were not searched"  # it is none of a machine

_MAIL, _POSTGRESQL, _STREAM, _SEED, _CONTROL = (
    "/run/mail.sock",
    "/run/postgresql/.s.PGSQL.5432",
    "/run/localechod/stream.sock",
    "/run/localechod/seed.sock",
    "/run/localechod/control.sock",
)
# How many connections each socket is to have, and the units that make them; mail is the server that
# is stopped. `sleep` keeps a client's standard input open.
CONNECTIONS = {_MAIL: 2, _POSTGRESQL: 5, _STREAM: 2, _SEED: 1, _CONTROL: 1}
_QUERY = "psql -X -d postgres -c 'select pg_sleep(900)'"


def _socat(path: str) -> str:
    return f"sleep 900 | socat - UNIX-CONNECT:{path}"


UNITS = {
    "monitor": ["localechoctl events --follow", _socat(_STREAM)],
    "orders": [_QUERY, _QUERY, _QUERY, _socat(_STREAM), _socat(_MAIL)],
    "reports": [_QUERY, _QUERY, _socat(_SEED)],
    "newsletter": [_socat(_MAIL)],
}


def prepare(machine: Machine) -> None:
    """Start the servers, and then the clients; return when all are connected."""
    machine.run("hostname", HOST)
    install(machine)
    machine.run("systemctl", "start", SERVICE, "postgresql.service", "systemd-logind.service")
    _start(machine, "mail", f"exec socat UNIX-LISTEN:{_MAIL},fork,mode=666 PIPE", user="root")
    eventually(lambda: machine.run("sh", "-c", f"[ ! -S {_MAIL} ] || echo yes"), 20, _MAIL)
    machine.run("systemctl", "kill", "--signal=STOP", "mail.service")
    for name, commands in UNITS.items():
        _start(machine, name, " & ".join([*commands, "wait"]))
    for path, number in CONNECTIONS.items():
        eventually(lambda path=path, number=number: _clients(machine, path) >= number, 60, path)  # type: ignore[misc]


def _start(machine: Machine, name: str, script: str, user: str = "postgres") -> None:
    unit = ["systemd-run", "--quiet", f"--unit={name}", f"--property=User={user}"]
    machine.run(*unit, "sh", "-c", script)


def _clients(machine: Machine, path: str) -> int:
    return len(machine.run("localechoctl", "peers", path, check=False).splitlines()) - 1


def draw(directory: Path) -> None:
    """Write both pictures."""
    with tempfile.TemporaryDirectory(prefix="localechod-map-") as place:
        picture, page = (Path(place, f"map.{kind}") for kind in ("svg", "html"))
        with booted(Path(place, "machine")) as machine:
            prepare(machine)
            for file in (picture, page):
                machine.run("localechoctl", "sockets", "--map", f"/root/{file.name}")
                text = machine.run("cat", f"/root/{file.name}")
                file.write_text(text.replace(f"; {NOISE}", "").replace(f'"{NOISE}"', "") + "\n")
        (directory / "map.svg").write_text(picture.read_text())
        with browser(Path(place, "profile")) as chromium:
            chromium.open(page, width=PAGE_SIZE[0], height=PAGE_SIZE[1])
            chromium.evaluate(f"document.querySelector('#units [title^=\"{OPEN}\"]').click()")
            chromium.screenshot(directory / "map.png")


def main() -> None:
    """Draw, or exit with the reason."""
    if reason := missing() or (REASON if PROGRAM is None else ""):
        sys.exit(f"a machine and a browser are needed: {reason}")
    draw(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent.parent / "docs/pictures")


if __name__ == "__main__":
    main()
