"""Which user is next."""

import os

from localechod.echo.precedence import Precedence

OWN = os.geteuid()


def chosen(users: list[int], count: int) -> list[int]:
    """Return the users of so many turns, where each always has something that waits."""
    precedence, waiting = Precedence(), dict.fromkeys(users)
    order = []
    for _ in range(count):
        order.append(precedence.choose(waiting))
        waiting[order[-1]] = waiting.pop(order[-1])  # behind all others
    return order


def test_users_take_turns() -> None:
    assert chosen([1001, 1002, 1003], 6) == [1001, 1002, 1003] * 2


def test_root_and_the_listening_socket_wait_for_no_user_but_one() -> None:
    assert chosen([1001, 1002, 1003, 0], 6) == [0, 1001, 0, 1002, 0, 1003]
    assert chosen([1001, 1002, OWN], 4) == [OWN, 1001, OWN, 1002]
    assert chosen([0], 2) == [0, 0]
