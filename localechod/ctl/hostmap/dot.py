"""The map in the language of graphviz (https://graphviz.org/doc/info/lang.html)."""

from localechod.ctl.hostmap.model import HostMap, Link, Process

_RED = 'color="#cf222e", fontcolor="#cf222e"'


def write(found: HostMap) -> str:
    """Return a directed graph: a cluster for each unit, a node for each process."""
    units: dict[str, list[int]] = {}
    for number, each in enumerate(found.processes):
        units.setdefault(each.group, []).append(number)
    lines = [
        f"digraph {_quoted(f'local sockets of {found.host}')} {{",
        "  rankdir=LR; node [shape=box, fontname=sans]; edge [fontname=sans, fontsize=10];",
        f"  label={_quoted('; '.join([found.time, *found.notes]))};",
    ]
    for number, (unit, members) in enumerate(sorted(units.items())):
        lines.append(f"  subgraph cluster_{number} {{ label={_quoted(unit)};")
        lines += [f"    {_node(each, found.processes[each])}" for each in members]
        lines.append("  }")
    lines += [f"  {edge}" for edge in map(_edge, found.links)]
    return "\n".join([*lines, "}", ""])


def _node(number: int, each: Process) -> str:
    name = each.command if each.pid is None else f"{each.command} ({each.pid})"
    return f"p{number} [label={_quoted(_joined(name, each.user, each.stuck))}{_red(each.stuck)}];"


def _edge(each: Link) -> str:
    times = f" ({each.count})" if each.count > 1 else ""
    label = _joined(f"{each.name or 'socketpair'}{times}", each.stuck)
    is_waiting = each.states.get("waiting") == each.count
    style = ", style=dashed" if is_waiting else ""
    return f"p{each.client} -> p{each.server} [label={_quoted(label)}{style}{_red(each.stuck)}];"


def _red(stuck: str) -> str:
    return f", {_RED}" if stuck else ""


def _joined(*parts: str) -> str:
    return "\n".join(filter(None, parts))


def _quoted(text: str) -> str:
    """Return a string of the language; a backslash would begin an escape sequence of a label.

    A name with a quotation mark, or with the escapes of our own, is shown as it is.
    """
    body = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{body}"'
