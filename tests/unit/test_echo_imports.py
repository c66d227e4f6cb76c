"""Imports only go down inside echo/ too."""

import pytest

from tests.unit.test_imports import ROOT, imported

# From the bottom up. A module may import from its own floor and from lower ones; `stream` names the
# modules of stream/ that are not named themselves.
FLOORS = [
    [
        "descriptors",
        "identity",
        "lifecycle",
        "limits",
        "portable",
        "precedence",
        "ratelimit",
        "reasons",
        "retry",
        "status",
    ],
    ["fastpath", "peer_log"],
    ["counters"],
    ["binding", "events", "reactor", "persist"],
    ["endpoint_log", "eventloop", "stream.buffers", "datagram.proof_budget"],
    ["passed", "stream.lingering"],
    ["context", "faults"],
    ["stream", "datagram"],
    ["activated"],
    ["endpoint", "description"],
    ["bind_permission", "monitor"],
    ["reload"],
    ["supervisor"],
]
FLOOR = {module: number for number, modules in enumerate(FLOORS) for module in modules}
MODULES = {
    path.relative_to(ROOT / "echo").with_suffix("").as_posix().replace("/", "."): path
    for path in sorted((ROOT / "echo").rglob("*.py"))
    if path.name != "__init__.py"
}


def floor(module: str) -> int:
    return FLOOR[module] if module in FLOOR else FLOOR[module.partition(".")[0]]


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_go_down(module: str) -> None:
    for name in imported(MODULES[module]):
        there = name.removeprefix("localechod.echo.").removesuffix(".py")
        while there != name and there not in MODULES and "." in there:
            there = there.rpartition(".")[0]
        if there in MODULES:
            assert floor(there) <= floor(module), f"{module} imports {there}: imports only go down"
