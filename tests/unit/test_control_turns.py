"""Calls begin one in a round of the event loop, and users take turns."""

import asyncio

from localechod.control.turns import Turns


def test_a_user_with_one_call_waits_for_one_call_of_another_user() -> None:
    begun: list[int] = []
    rounds: list[int] = []

    async def call(turns: Turns, uid: int) -> None:
        await turns.wait(uid)
        begun.append(uid)

    async def count() -> None:
        while len(begun) < 7:
            rounds.append(len(begun))
            await asyncio.sleep(0)

    async def main() -> None:
        turns = Turns()
        calls = [call(turns, uid) for uid in (1, 1, 1, 1, 2, 3, 0)]
        await asyncio.gather(*calls, count())

    asyncio.run(main())
    assert begun == [0, 1, 2, 3, 1, 1, 1], "root waits for no user"
    assert set(rounds) == set(range(7)), "one in each round"


def test_a_call_that_is_cancelled_while_it_waits_takes_no_turn() -> None:
    async def main() -> None:
        turns = Turns()
        first, cancelled, last = (asyncio.create_task(turns.wait(1)) for _ in range(3))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait_for(asyncio.gather(first, last), 10)
        await asyncio.wait_for(turns.wait(2), 10)

    asyncio.run(main())
