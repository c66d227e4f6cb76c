"""Changes of a file: its mode, its ACL and its group."""

from collections.abc import Iterator
from dataclasses import replace

from localechod.explain import shell
from localechod.explain.access import Want
from localechod.explain.caveats import lasting
from localechod.explain.change import Change, with_node
from localechod.explain.client import Client
from localechod.explain.facts import Facts
from localechod.explain.inode import GROUP, GROUP_OBJ, OTHER, USER, USER_OBJ, AclEntry, Node
from localechod.explain.remedy import Action
from localechod.explain.walk import Step
from localechod.text import escape

_LETTERS = ((4, "r"), (2, "w"), (1, "x"))


def for_owner(facts: Facts, step: Step, want: Want) -> Iterator[Change]:
    """The owner of the file gets the permission."""
    if step.node.uid == facts.question.client.uid:
        text = f"let {facts.question.client.called}, its owner, {_verb(step, want)}"
        yield _of_bits(facts, step, want, USER_OBJ, text)


def for_user(facts: Facts, step: Step, want: Want) -> Iterator[Change]:
    """One user gets the permission, by an ACL entry."""
    client, node = facts.question.client, step.node
    if not step.has_acls or node.uid == client.uid:
        return
    bits = node.user_entry(client.uid) | want
    entry = f"u:{_user_word(client)}:{_letters(bits)}"
    if node.acl is not None:
        # setfacl would make the mask of all entries, and so revive others which it cuts.
        entry += f",m::{_letters(node.mask | want)}"
    action = Action(
        f"let {client.called} {_verb(step, want)}, by an ACL entry",
        f"setfacl -m {entry} {shell.path(step.ours)}",
    )
    after = with_node(facts, step, node.with_user(client.uid, bits))
    absent = "setfacl" in facts.absent
    installing = ("setfacl is not installed here; the package is named acl",) if absent else ()
    caveats = (*installing, *_revived(node, client, want), *lasting(facts, step))
    yield Change((action,), after, caveats)


def for_group(facts: Facts, step: Step, want: Want) -> Iterator[Change]:
    """The group of the file gets the permission; the client is in it."""
    client, node = facts.question.client, step.node
    if node.gid in client.groups and node.acl is None:
        text = f"let group {client.group_name(node.gid)} {_verb(step, want)}"
        yield _of_bits(facts, step, want, GROUP_OBJ, text)


def for_another_group(facts: Facts, step: Step, want: Want) -> Iterator[Change]:
    """The file gets a group of the client, in place of its own, and this group the permission."""
    client, node = facts.question.client, step.node
    if node.acl is not None:
        return
    for gid in sorted(client.groups - {0, node.gid}):
        name = client.group_name(gid)
        made = _of_bits(facts, step, want, GROUP_OBJ, f"let group {name} {_verb(step, want)}")
        word = name if shell.is_plain(name) else str(gid)
        command = f"chgrp {word} {shell.path(step.ours)} && {made.actions[0].command}"
        yield Change(
            (replace(made.actions[0], command=command),),
            with_node(facts, step, replace(node, gid=gid).with_bits(GROUP_OBJ, want)),
            (f"group {client.group_name(node.gid)} is its group no longer", *made.caveats),
        )


def for_others(facts: Facts, step: Step, want: Want) -> Iterator[Change]:
    """Every user gets the permission, which is the last resort."""
    text = f"let every user {_verb(step, want)}, because nothing smaller helps"
    yield _of_bits(facts, step, want, OTHER, text)


def _of_bits(facts: Facts, step: Step, want: Want, tag: int, text: str) -> Change:
    letter = {USER_OBJ: "u", GROUP_OBJ: "g", OTHER: "o"}[tag]
    command = f"chmod {letter}+{want.letter} {shell.path(step.ours)}"
    after = with_node(facts, step, step.node.with_bits(tag, want))
    return Change((Action(text, command),), after, lasting(facts, step))


def _verb(step: Step, want: Want) -> str:
    if want is Want.SEARCH:
        return f"enter {escape(step.path)}"
    return f"write to {escape(step.path)}"


def _user_word(client: Client) -> str:
    name = client.name
    return name if not client.is_foreign and shell.is_plain(name) else str(client.uid)


def _letters(bits: int) -> str:
    return "".join(letter for bit, letter in _LETTERS if bits & bit)


def _revived(node: Node, client: Client, want: Want) -> tuple[str, ...]:
    """Name the entries of the ACL that get the permission because the mask grows."""
    if node.acl is None or node.mask & want:
        return ()

    def name(entry: AclEntry) -> str:
        if entry.tag == USER:
            return f"user {client.user_name(entry.id)}"
        return f"group {client.group_name(node.gid if entry.tag == GROUP_OBJ else entry.id)}"

    cut = [
        name(entry)
        for entry in node.acl
        if entry.bits & want
        and entry.tag in {USER, GROUP_OBJ, GROUP}
        and (entry.tag, entry.id) != (USER, client.uid)
    ]
    return (f"the larger ACL mask lets in {', '.join(cut)} too",) if cut else ()
