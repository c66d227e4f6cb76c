"""The house: imports only go down, and the three rules hold."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "localechod"

# From the ground up; a module may import from its own floor's room and from floors below.
FLOORS = [
    ["errors", "limits", "text", "__init__"],
    ["accounts"],
    ["localsocket"],
    ["host"],
    ["framing", "config"],
    ["fault_plan"],
    ["explain", "bench", "tap"],
    ["echo"],
    ["control"],
    ["daemon"],
    ["lab", "testing"],
    ["ctl"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

CLIENT = {"echo": "a client reaches the daemon through control/ alone"} | dict.fromkeys(
    ("daemon",), "a client never imports the daemon"
)

FORBIDDEN = {
    "ctl": CLIENT,
    "lab": CLIENT,
    "testing": CLIENT,
    "daemon": {"ctl": "the daemon knows no command line tool"},
    "echo": {
        "systemd": "echo/ knows no systemd",
        "grpclib": "echo/ knows no gRPC",
        "google": "echo/ knows no gRPC",
        "typer": "echo/ knows no terminal",
        "rich": "echo/ knows no terminal",
        "host": "echo/ knows sockets and messages, not the machine",
    },
    "localsocket": dict.fromkeys(
        ("host", "msgspec", "typer", "grpclib", "systemd"),
        "localsocket/ can be lifted out and published",
    ),
}


def modules() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if "wire" not in path.parts]


def room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path: Path) -> list[str]:
    """Names of what a module imports, anywhere in it, with what it takes from there."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    here = room(path)
    for name in imported(path):
        first, _, rest = name.partition(".")
        there = (rest.partition(".")[0] if first == "localechod" else first) or "__init__"
        if first == "localechod" and there not in FLOOR:
            there = "__init__"  # a name of the package itself, such as __version__
        reason = FORBIDDEN.get(here, {}).get(there)
        assert reason is None, f"{path.relative_to(ROOT)} imports {name}: {reason}"
        if first == "localechod" and there != here:
            assert FLOOR[there] < FLOOR[here], (
                f"{path.relative_to(ROOT)} ({here}) imports {name} ({there}): imports only go down"
            )


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in modules()} <= set(FLOOR)
