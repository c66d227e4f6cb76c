"""Changes of the client: the groups that it gets.

An account of this machine gets them from the account database, and a process has them from its
start on. The user of a container gets them as an option of the container.
"""

from collections.abc import Iterator
from dataclasses import replace

from localechod.accounts import find_group, is_local, user_of
from localechod.explain import ancestry, shell
from localechod.explain.caveats import power_of_group
from localechod.explain.change import Change, with_client
from localechod.explain.client import Client
from localechod.explain.facts import Facts
from localechod.explain.inode import GROUP, Node
from localechod.explain.remedy import Action
from localechod.text import escape


def renewals(facts: Facts, node: Node) -> Iterator[Change]:
    """The account database gives the client a group of the file, but its process lacks it."""
    client = facts.question.client
    for gid in _groups_of(node):
        if gid in client.login_groups - client.groups:
            name = client.group_name(gid)
            action = ancestry.renewal(facts.family, gid, name)
            known = f"the account database has {client.name} in group {name} already"
            action = replace(action, text=f"{known}: {action.text}")
            yield Change((action,), with_client(facts, _anew(facts, frozenset())))


def new_memberships(facts: Facts, node: Node, *, powerful: bool) -> Iterator[Change]:
    """The client gets a group of the file.

    Args:
        facts: the facts.
        node: the file.
        powerful: groups with the power of root over this machine, or else the others.
    """
    client = facts.question.client
    for gid in _groups_of(node):
        # Never the group of root, and for the account of root no group: it has other means.
        refused = gid == 0 or (client.uid == 0 and not client.is_foreign)
        if refused or gid in client.groups | client.login_groups:
            continue
        group = None if client.is_foreign else find_group(str(gid))
        caveat, beyond_socket = power_of_group(facts, group.gr_name if group else "")
        if beyond_socket == powerful:
            made = _in_container(facts, gid) if client.is_foreign else _in_accounts(facts, gid)
            yield from (replace(each, caveats=caveat) for each in made)


def _groups_of(node: Node) -> list[int]:
    """Return the gids that the permissions of a file name, without repetition."""
    named = (entry.id for entry in node.acl or () if entry.tag == GROUP)
    return list(dict.fromkeys([node.gid, *named]))


def _in_accounts(facts: Facts, gid: int) -> Iterator[Change]:
    """Change the account database, where usermod(8) can, and start the client anew."""
    account, group = user_of(facts.question.client.uid), find_group(str(gid))
    if account is None or group is None or "usermod" in facts.absent:
        return
    user, name = account.pw_name, group.gr_name
    if is_local("/etc/passwd", user) and is_local("/etc/group", name):
        added = Action(
            f"add {escape(user)} to group {escape(name)}",
            f"usermod -aG {shell.word(name)} {shell.word(user)}",
        )
        yield Change(
            (added, ancestry.renewal(facts.family, gid, escape(name))),
            with_client(facts, _anew(facts, frozenset({gid}))),
        )


def _in_container(facts: Facts, gid: int) -> Iterator[Change]:
    client = facts.question.client
    inside = client.gid_inside(gid)
    if inside is not None:
        text = (
            f"start the client with the supplementary group {inside} "
            f"(docker and podman: --group-add {inside}; Kubernetes: supplementalGroups: [{inside}])"
        )
        changed = replace(client, groups=client.groups | {gid})
        yield Change((Action(text),), with_client(facts, changed))


def _anew(facts: Facts, more: frozenset[int]) -> Client:
    """Return the client after a new start, with more groups in the account database.

    A service keeps what its unit gives it. A login has the groups of the account alone, and only
    root gets capabilities from it.
    """
    client = facts.question.client
    login = client.login_groups | more
    if client.pid is None or ancestry.is_service(facts.family):
        return replace(client, groups=client.groups | login, login_groups=login)
    root = client.uid == 0
    return replace(
        client,
        groups=login,
        login_groups=login,
        dac_override=client.dac_override and root,
        dac_read_search=client.dac_read_search and root,
    )
