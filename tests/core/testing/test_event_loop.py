from __future__ import annotations

import asyncio
import contextvars

import anyio
import httpx
import inngest
import pytest

from crossapp_core.testing import Environment, LocalInngest, LocalInngestError
from tests.core.testing.apps import App


class TestSyncCalls:
    def test_one_loop(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        What an app keeps open in one settling, a pooled connection for example, still works in the next.
        """
        client = httpx.AsyncClient(base_url=env.url, trust_env=False)

        @app.on("order/paid", retries=0)
        async def ship(ctx: inngest.Context) -> int:
            response = await client.post("/e/key", json={"name": "order/shipped"})
            return response.status_code

        env.register(app.asgi)
        for _ in range(3):
            env.emit("order/paid", {})
            local.settle()
        local.run(client.aclose())

        assert [(run.output, run.error) for run in env.log.runs] == [(200, None)] * 3

    def test_all_calls(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Registering, settling and whatever else is run share it.
        """
        loops = []

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> None:
            loops.append(asyncio.get_running_loop())

        asgi = app.asgi

        @asgi.middleware("http")
        async def note(request: object, call_next: object) -> object:
            loops.append(asyncio.get_running_loop())
            return await call_next(request)  # type: ignore[operator]

        async def loop() -> asyncio.AbstractEventLoop:
            return asyncio.get_running_loop()

        env.register(asgi)
        env.emit("order/paid", {})
        local.settle()

        assert len(loops) == 3
        assert set(loops) == {local.run(loop())}

    def test_context(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Each settling sees the context variables of its caller.
        """
        shop = contextvars.ContextVar[str]("shop")

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> str:
            return shop.get()

        env.register(app.asgi)
        for name in ("one", "two"):
            shop.set(name)
            env.emit("order/paid", {})
            local.settle()

        assert [run.output for run in env.log.runs] == ["one", "two"]

    def test_current_loop(self, local: LocalInngest) -> None:
        """
        The loop that a thread takes for its current one is left alone.
        """
        mine = asyncio.new_event_loop()
        asyncio.set_event_loop(mine)
        try:
            local.settle()
            local.close()
            assert asyncio.get_event_loop_policy().get_event_loop() is mine
        finally:
            asyncio.set_event_loop(None)
            mine.close()

    def test_closed(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Closing ends the loop with all its tasks; what is called afterwards says so.
        """
        ended = []

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(asyncio.get_running_loop())

        async def begin() -> asyncio.Task[None]:
            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            return task

        task = local.run(begin())
        local.close()

        assert (task.cancelled(), [loop.is_closed() for loop in ended]) == (True, [True])
        with pytest.raises(LocalInngestError, match="closed"):
            local.settle()
        with pytest.raises(LocalInngestError, match="closed"):
            env.register(app.asgi)

    async def test_inside_a_loop(self, app: App, env: Environment) -> None:
        """
        An async test that registers by the sync twin is told so.
        """
        with pytest.raises(LocalInngestError, match=r"await aregister\(\)"):
            env.register(app.asgi)


class TestAsyncCalls:
    def test_anyio(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A test that anyio runs registers and settles in its own loop.
        """
        loops = set()

        @app.on("order/paid", fn_id="ship")
        async def ship(ctx: inngest.Context) -> str:
            loops.add(asyncio.get_running_loop())
            await ctx.step.send_event("tell", inngest.Event(name="order/shipped"))
            return "shipped"

        async def test() -> None:
            loops.add(asyncio.get_running_loop())
            await env.aregister(app.asgi)
            env.emit("order/paid", {})
            async with anyio.create_task_group() as group:
                group.start_soon(local.asettle)

        anyio.run(test, backend="asyncio")

        assert env.log.runs_of("ship")[0].output == "shipped"
        assert len(loops) == 1
