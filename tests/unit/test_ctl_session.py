"""The delay between attempts to connect."""

import asyncio

import pytest

from localechod.ctl.session import ReconnectDelay


def test_each_wait_is_twice_as_long_up_to_two_seconds_and_begins_anew_after_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delays: list[float] = []

    async def slept(seconds: float) -> None:
        delays.append(seconds)

    async def main() -> None:
        monkeypatch.setattr(asyncio, "sleep", slept)
        delay = ReconnectDelay()
        for _ in range(7):
            await delay.wait()
        delay.reset()
        await delay.wait()

    asyncio.run(main())
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 0.1]
