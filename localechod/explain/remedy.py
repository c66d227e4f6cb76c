"""A remedy: what helps, the commands that do it, and what to know before.

`solve` finds it, by applying changes to the facts and making every check again. This module has
no facts, so that a check can have a remedy too.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """One step of a remedy.

    Attributes:
        text: what to do, as an imperative clause in one escaped line.
        command: a shell command for root that does it; "" where no command does.
        renews: the client starts anew, so that it gets its groups again. It needs no command.
    """

    text: str
    command: str = ""
    renews: bool = False


@dataclass(frozen=True, slots=True)
class Remedy:
    """What helps.

    Attributes:
        actions: the steps, in their order; none where nothing can be offered.
        caveats: what to know before, or what stays unknown; each one escaped line. Those of the
            alternative are among them.
        reason: why nothing is offered, as one escaped line; "" where something is.
        alternative: another way to the same end.
    """

    actions: tuple[Action, ...] = ()
    caveats: tuple[str, ...] = ()
    reason: str = ""
    alternative: "Remedy | None" = None

    @property
    def text(self) -> str:
        """The whole remedy without its commands, as one line; "" where there is none to tell."""
        steps = [each.text for each in self.actions]
        text = f"{'; '.join(steps[:-1])}; then {steps[-1]}" if len(steps) > 1 else "".join(steps)
        return f"{text}; or {self.alternative.text}" if self.alternative else text or self.reason

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands after which connect works; none where commands alone do not help.

        Where a step `renews`, the client has to be started anew after them.
        """
        if all(each.command or each.renews for each in self.actions):
            return tuple(each.command for each in self.actions if each.command)
        return self.alternative.commands if self.alternative else ()

    @property
    def renews(self) -> bool:
        """Whether the client must be started anew after the commands."""
        return any(each.renews for each in self.actions)


NONE = Remedy()


def none(reason: str) -> Remedy:
    """Return that no remedy is offered, and why."""
    return Remedy(reason=f"none can be offered: {reason}")


def advice(text: str, command: str = "") -> Remedy:
    """Return a remedy of one step."""
    return Remedy((Action(text, command),)) if text else NONE
