"""A change of the facts, with the steps that make it on the machine."""

from dataclasses import dataclass, replace

from localechod.explain.client import Client
from localechod.explain.facts import Facts
from localechod.explain.inode import Node
from localechod.explain.remedy import Action
from localechod.explain.walk import Step


@dataclass(frozen=True, slots=True)
class Change:
    """A change.

    Attributes:
        actions: the steps that make it.
        after: the facts as they are then.
        caveats: what to know before, each one escaped line.
    """

    actions: tuple[Action, ...]
    after: Facts
    caveats: tuple[str, ...] = ()


def with_client(facts: Facts, client: Client) -> Facts:
    """Return the facts with other credentials of the client."""
    return replace(facts, question=replace(facts.question, client=client))


def with_node(facts: Facts, changed: Step, node: Node) -> Facts:
    """Return the facts with other attributes of one inode, wherever the path meets it."""
    walk = facts.walk
    if walk is None:
        return facts

    def renewed(step: Step) -> Step:
        same = not step.target and step.key == changed.key
        return replace(step, node=node) if same else step

    end = walk.end and renewed(walk.end)
    return replace(facts, walk=replace(walk, steps=tuple(map(renewed, walk.steps)), end=end))
