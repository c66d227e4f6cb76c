"""The one back-off of the command line."""

import asyncio

import pytest

from localechod.ctl.session import Backoff


def test_each_wait_is_twice_as_long_up_to_two_seconds_and_begins_anew_after_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delays: list[float] = []

    async def slept(seconds: float) -> None:
        delays.append(seconds)

    async def main() -> None:
        monkeypatch.setattr(asyncio, "sleep", slept)
        backoff = Backoff()
        for _ in range(7):
            await backoff.wait()
        backoff.reset()
        await backoff.wait()

    asyncio.run(main())
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 0.1]
