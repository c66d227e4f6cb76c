"""Every check of a connect, from the facts alone."""

import stat

from localechod.explain.check import Check
from localechod.explain.confinement_checks import check_confinement
from localechod.explain.facts import LONGEST, Facts
from localechod.explain.listener_checks import check_listener
from localechod.explain.liveness_checks import check_former
from localechod.explain.path_checks import check_name, check_path
from localechod.explain.sandbox_checks import check_filters, check_landlock, check_unread


def every_check(facts: Facts) -> tuple[Check, ...]:
    """Make every check, in the order of the kernel's own."""
    checks = [*check_filters(facts), check_name(facts.question)]
    if facts.walk is not None:
        checks += [*check_confinement(facts), *check_path(facts, facts.walk)]
    if _may_be_served(facts):
        checks += [*check_listener(facts), *check_landlock(facts)]
    return (*checks, *check_former(facts), *check_unread(facts))


def _may_be_served(facts: Facts) -> bool:
    """Whether a socket may be bound: the name is a valid abstract one, or a socket file exists."""
    if facts.question.is_abstract:
        return len(facts.question.name) <= LONGEST
    end = facts.walk.end if facts.walk else None
    return end is not None and stat.S_ISSOCK(end.node.mode)
