"""The remedy: the changes of the facts after which every check succeeds.

Each candidate is applied to the facts, and every check is made again. A candidate is taken if the
verdict is then due to a later check. The search goes on from there, until no permission is missing.
So nothing is offered that would not help, and nothing is left out that stands in the way too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from localechod.explain import memberships, permissions, private
from localechod.explain.caveats import power_of_server
from localechod.explain.change import Change
from localechod.explain.check import (
    Check,
    Denial,
    deciding,
    how_to_know,
    own_remedy,
    reservations,
)
from localechod.explain.checks import every_check
from localechod.explain.confinement_checks import allowing
from localechod.explain.facts import Facts
from localechod.explain.remedy import Action, Remedy, none
from localechod.explain.walk import Step
from localechod.text import escape

_MOST = 400  # candidates that are judged: only a path of dozens of closed directories has more

# What stays unknown of a socket to which a client has every permission is a caveat.
_TOLERATED = frozenset(("listener", "filters"))

Chain = tuple[Change, ...]


def solve(facts: Facts, checks: Sequence[Check]) -> Remedy:
    """Return what helps against the problem that decides.

    Args:
        facts: the facts.
        checks: what `every_check` says of them.
    """
    place = deciding(checks)
    reserved = reservations(checks)
    if place is None or reserved:
        return replace(how_to_know(reserved), caveats=_after_accept(facts))
    if any(each.name == "sandbox" for each in checks[:place]):
        return _of_sandbox(facts, checks, place)
    if checks[place].denial is None:
        return own_remedy(checks, place)
    if served := private.owner(facts):
        return _of_another_user(facts, served)
    remedy = _search(facts, checks, by_hand=True)
    if remedy.actions and not remedy.commands:
        other = _search(facts, checks, by_hand=False)
        if other.commands:
            caveats = tuple(dict.fromkeys([*remedy.caveats, *other.caveats]))
            other = replace(other, caveats=())
            remedy = replace(remedy, alternative=other, caveats=caveats)
    return remedy


def _of_sandbox(facts: Facts, checks: Sequence[Check], place: int) -> Remedy:
    """Return the setting that lets the client see the socket, and what is needed beyond it."""
    change = allowing(facts)
    if change is None:
        return own_remedy(checks, place)
    search = _Search(by_hand=True)
    rest = search.chain(change.after, every_check(change.after))
    return none(search.reason) if rest is None else _offer(facts, (change, *rest))


def _search(facts: Facts, checks: Sequence[Check], *, by_hand: bool) -> Remedy:
    search = _Search(by_hand=by_hand)
    chain = search.chain(facts, checks)
    return _offer(facts, chain) if chain else none(search.reason)


class _Search:
    """A search for the first chain of changes, depth first."""

    def __init__(self, *, by_hand: bool) -> None:
        self._by_hand = by_hand
        self._left = _MOST
        self.reason = ""

    def chain(self, facts: Facts, checks: Sequence[Check]) -> Chain | None:
        """Return the changes; none where no permission is missing; None where nothing helps."""
        place = deciding(checks)
        denial = None if place is None else checks[place].denial
        if place is None or denial is None:
            return self._end(checks, place)
        for change in _candidates(facts, denial):
            if self._left <= 0:
                break
            self._left -= 1
            steps = all(each.command or each.renews for each in change.actions)
            if not (steps or self._by_hand):
                continue
            then = every_check(change.after)
            further = deciding(then)
            if further is None or further > place:
                rest = self.chain(change.after, then)
                if rest is not None:
                    return (change, *rest)
        self.reason = self.reason or _why_none(denial)
        return None

    def _end(self, checks: Sequence[Check], place: int | None) -> Chain | None:
        check = None if place is None else checks[place]
        known = check is None or check.result != "unknown" or bool(check.unless)
        if check is not None and not known and check.name not in _TOLERATED:
            self.reason = f"beyond it, {check.detail}; {check.remedy.text}"
            return None
        return ()


def _candidates(facts: Facts, denial: Denial) -> Iterator[Change]:
    """Yield the changes that may help, the least far-reaching first."""
    step, want = denial.step, denial.want
    if want is None:
        yield from _target(facts, step)
        return
    yield from memberships.renewals(facts, step.node)
    yield from memberships.new_memberships(facts, step.node, powerful=False)
    if step.ours:
        yield from permissions.for_owner(facts, step, want)
        yield from permissions.for_user(facts, step, want)
    yield from memberships.new_memberships(facts, step.node, powerful=True)
    if step.ours:
        yield from permissions.for_group(facts, step, want)
        yield from permissions.for_another_group(facts, step, want)
        yield from permissions.for_others(facts, step, want)


def _target(facts: Facts, link: Step) -> Iterator[Change]:
    """Yield a use of the link's target, by its own path."""
    walk = facts.walk
    if walk is not None:
        end = walk.end.path if walk.end else walk.stopped_at
        free = tuple(replace(s, parent=None) if s.path == link.path else s for s in walk.steps)
        action = Action(f"use the path of the link's target: {escape(end)}")
        yield Change((action,), replace(facts, walk=replace(walk, steps=free)))


def _offer(facts: Facts, chain: Chain) -> Remedy:
    """Return a chain as a remedy, with what stays to be done or to be known after it."""
    made = [action for change in chain for action in change.actions]
    lasting = [action for action in made if not action.renews]
    renewals = {action.text: action for action in made if action.renews}
    actions = [*lasting, *renewals.values()]
    caveats = [*power_of_server(facts), *(text for change in chain for text in change.caveats)]
    then = every_check(chain[-1].after)
    place = deciding(then)
    if reserved := reservations(then):
        caveats += [f"it should work then, unless {check.unless}" for check in reserved]
    elif place is not None:
        check = then[place]
        if check.result == "unknown":
            caveats.append(f"whether it works then is unknown: {check.detail}")
        else:
            actions += own_remedy(then, place).actions
    return Remedy(tuple(actions), tuple(dict.fromkeys(caveats)))


def _of_another_user(facts: Facts, served: private.Owner) -> Remedy:
    owner = _user(facts, served.uid)
    return Remedy(
        reason=f"none is offered: {served.server} looks at the uid of its client after accept, and "
        f"serves {owner} alone, so a connect would not help; {served.instead}, or run the client "
        f"as {owner}"
    )


def _after_accept(facts: Facts) -> tuple[str, ...]:
    served = private.owner(facts)
    if served is None:
        return ()
    owner = _user(facts, served.uid)
    return (f"{served.server} looks at the uid of its client after accept, and serves {owner}",)


def _user(facts: Facts, uid: int) -> str:
    client = facts.question.client
    return f"{'uid' if client.is_foreign else 'user'} {client.user_name(uid)}"


def _why_none(denial: Denial) -> str:
    path = escape(denial.step.path)
    if not denial.step.ours:
        return (
            f"{path} is on a read-only mount, so its mode cannot be changed from here, and no "
            "group helps; change it where it is mounted for writing"
        )
    return f"no change of {path} alone gives the permission"
