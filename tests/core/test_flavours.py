from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from crossapp_core.flavours import run_sync


class TestRunSync:
    def test_returns(self) -> None:
        """
        A coroutine that never waits is run to its end, through others that it awaits.
        """

        async def inner(value: int) -> int:
            return value + 1

        async def outer() -> list[int]:
            return [await inner(value) for value in range(3)]

        assert run_sync(outer()) == [1, 2, 3]

    def test_raises(self) -> None:
        """
        What the coroutine raises comes out as it is.
        """

        async def fails() -> None:
            msg = "no such row"
            raise LookupError(msg)

        with pytest.raises(LookupError, match="no such row"):
            run_sync(fails())

    async def test_inside_a_loop(self) -> None:
        """
        It works where an event loop is running already.
        """

        async def body() -> str:
            return "done"

        assert run_sync(body()) == "done"

    @pytest.mark.parametrize("wait", [lambda: asyncio.sleep(0), asyncio.Event().wait], ids=["sleep", "event"])
    async def test_waiting(self, wait: Callable[[], Awaitable[object]]) -> None:
        """
        A coroutine that waits is stopped, cleaned up and told what it needs.
        """
        steps = []

        async def body() -> None:
            try:
                await wait()
                steps.append("went on")
            finally:
                steps.append("cleaned up")

        coroutine = body()
        with pytest.raises(RuntimeError, match="needs the async flavour"):
            run_sync(coroutine)
        assert steps == ["cleaned up"]
