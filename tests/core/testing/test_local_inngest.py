from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import fastapi
import httpx
import inngest
import inngest.fast_api
import pytest
import uvicorn

from crossapp_core.testing import (
    Clock,
    Environment,
    LocalInngest,
    LocalInngestError,
    LostAnswer,
    NeverSettlesError,
    NotRegisteredError,
    RunError,
)
from tests.core.testing.apps import App

START = datetime(2026, 1, 1, tzinfo=UTC)


class TestRegister:
    async def test_again(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A new registration of an app takes the place of its last one.
        """

        @app.on("order/paid", fn_id="old")
        async def old(ctx: inngest.Context) -> None:
            pass

        await app.register()
        app.functions.clear()

        @app.on("order/paid", fn_id="new")
        async def new(ctx: inngest.Context) -> None:
            pass

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        assert [run.function_id for run in env.log.runs] == ["new"]

    async def test_two_apps(self, env: Environment, local: LocalInngest) -> None:
        """
        Two apps registered at once in one environment both hear an event, each in its own process.
        """
        apps = [App(env, "shop"), App(env, "mailer")]
        for each in apps:

            @each.on("order/paid")
            async def handle(ctx: inngest.Context, each: App = each) -> str:
                return each.client.app_id

        await asyncio.gather(*(each.register() for each in apps))
        env.emit("order/paid", {})
        await local.asettle()

        assert {(run.full_id, run.output) for run in env.log.runs} == {
            ("shop-handle", "shop"),
            ("mailer-handle", "mailer"),
        }

    async def test_other_path(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        The handler may be served anywhere.
        """

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> str:
            return "shipped"

        asgi = fastapi.FastAPI()
        inngest.fast_api.serve(asgi, app.client, app.functions, serve_path="/hooks/inngest")
        await env.aregister(asgi, path="/hooks/inngest", origin="https://shop.test")
        env.emit("order/paid", {})
        await local.asettle()

        assert env.log.runs[0].output == "shipped"

    async def test_no_handler(self, env: Environment) -> None:
        """
        An app that serves no functions there is an error that says what it answered.
        """
        with pytest.raises(NotRegisteredError, match=r"PUT http://app\.test/api/inngest .*'shop': .* 404"):
            await env.aregister(fastapi.FastAPI())

    async def test_elsewhere(self, app: App, local: LocalInngest) -> None:
        """
        An app that registers at another environment than the one asked is an error.
        """

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> None:
            pass

        with pytest.raises(NotRegisteredError, match="at the environment 'school'"):
            await local.environment("school").aregister(app.asgi)

    async def test_cloud_mode(self, env: Environment) -> None:
        """
        An app that expects the cloud, whose requests are signed, is told what it got instead.
        """
        client = inngest.Inngest(
            app_id="shop", is_production=True, signing_key="signkey-test-12ab", api_base_url=env.url
        )
        function = client.create_function(fn_id="ship", trigger=inngest.TriggerEvent(event="order/paid"))
        asgi = fastapi.FastAPI()
        inngest.fast_api.serve(asgi, client, [function(_nothing)])

        with pytest.raises(NotRegisteredError, match="from a Dev Server but expected Cloud"):
            await env.aregister(asgi)

    async def test_no_functions(self, app: App, env: Environment) -> None:
        """
        An app without functions has nothing to register.
        """
        with pytest.raises(NotRegisteredError, match="no functions found"):
            await app.register()

    async def test_bad_registration(self, env: Environment) -> None:
        """
        A registration that isn't one is answered with 400.
        """
        function = {"id": "f", "triggers": [], "steps": {"step": {}}}
        async with httpx.AsyncClient(base_url=env.url, trust_env=False) as api:
            for body in ({}, {"appname": "a", "functions": [{}]}, {"appname": "a", "functions": [function]}):
                response = await api.post("/fn/register", json=body)
                assert response.status_code == 400, body
            assert (await api.post("/fn/register", content=b"{")).status_code == 400

    async def test_over_the_network(self, env: Environment, local: LocalInngest) -> None:
        """
        An app that runs as a server of its own registers by itself, and is called over HTTP.
        """
        app = App(env)

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> str:
            return await ctx.step.run("pack", _pack)

        asgi = fastapi.FastAPI()
        inngest.fast_api.serve(asgi, app.client, app.functions)
        for url in _served(asgi):
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.put(f"{url}/api/inngest")).status_code == 200
            env.emit("order/paid", {})
            await local.asettle()
            assert (env.log.runs[0].status, env.log.runs[0].output) == ("completed", "shipped")
        env.emit("order/paid", {})
        await local.asettle()
        assert env.log.failures[0].error == RunError("ConnectError", "All connection attempts failed")


class TestSettle:
    async def test_within(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Settling moves the clock to what is due, but no further than allowed; what is later waits for another time.
        """
        calls = []

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> None:
            calls.append(local.clock() - START)
            raise OSError

        await app.register()
        env.emit("order/paid", {})

        await local.asettle(within=timedelta(0))
        assert (calls, local.clock()) == ([timedelta(0)], START)
        await local.asettle(within=timedelta(seconds=89))
        assert calls[1:] == [timedelta(seconds=30)]
        local.clock.advance(timedelta(seconds=60))
        await local.asettle(within=timedelta(0))
        assert (calls[2:], env.log.failures) == ([timedelta(seconds=90)], [])
        await local.asettle()
        assert len(env.log.failures) == 1

    async def test_future_event(self, env: Environment, app: App, local: LocalInngest) -> None:
        """
        An event of the future runs when its time has come on the injected clock, one of the past at once.
        """
        ran = []

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> None:
            ran.append((ctx.event.data["n"], ctx.event.ts, local.clock()))

        await app.register()
        times = [START + timedelta(days=1), START - timedelta(days=1), START + timedelta(days=8)]
        stamps = [int(moment.timestamp() * 1000) for moment in times]
        async with httpx.AsyncClient(trust_env=False) as api:
            events = [{"name": "order/paid", "data": {"n": n}, "ts": ts} for n, ts in enumerate(stamps)]
            await api.post(f"{env.url}/e/k", json=events)
        await local.asettle()

        assert ran == [(1, stamps[1], START), (0, stamps[0], times[0])]

    async def test_order(self, env: Environment, app: App, local: LocalInngest) -> None:
        """
        What is due at the same time runs in the order in which it came, call by call.
        """
        calls = []

        async def step(name: str) -> None:
            calls.append(name)

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> None:
            for name in "ab":
                await ctx.step.run(name, step, f"{name}{ctx.event.data['n']}")

        await app.register()
        for n in range(3):
            env.emit("order/paid", {"n": n})
        await local.asettle()

        assert calls == ["a0", "a1", "a2", "b0", "b1", "b2"]

    async def test_two_environments(self, local: LocalInngest) -> None:
        """
        Functions of two environments that send events to each other over HTTP all run in one settling.
        """
        shop, school = (App(local.environment(name, keys=[f"{name}-key"]), name) for name in ("shop", "school"))

        async def send(to: App, key: str, name: str, data: object) -> int:
            async with httpx.AsyncClient(trust_env=False) as client:
                url = f"{to.environment.url}/e/{key}"
                return (await client.post(url, json={"name": name, "data": data})).status_code

        @shop.on("order/paid", fn_id="announce")
        async def announce(ctx: inngest.Context) -> int:
            return await ctx.step.run("send", send, school, "school-key", "bundle/purchased", {"n": 1})

        @school.on("bundle/purchased", fn_id="grant")
        async def grant(ctx: inngest.Context) -> int:
            return await ctx.step.run("answer", send, shop, "shop-key", "entitlement/granted", ctx.event.data)

        @shop.on("entitlement/granted", fn_id="note")
        async def note(ctx: inngest.Context) -> object:
            return ctx.event.data

        await shop.register()
        await school.register()
        shop.environment.emit("order/paid", {})
        await local.asettle()

        assert [(run.function_id, run.output) for run in shop.environment.log.runs] == [
            ("announce", 200),
            ("note", {"n": 1}),
        ]
        assert [(run.function_id, run.output) for run in school.environment.log.runs] == [("grant", 200)]
        assert [event.key for event in school.environment.log.received] == ["school-key"]

    async def test_endless(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Functions that trigger each other without end are stopped and named.
        """
        local.max_calls = 50
        for one, other in (("ping", "pong"), ("pong", "ping")):

            @app.on(one, fn_id=f"on-{one}")
            async def answer(ctx: inngest.Context, other: str = other) -> None:
                env.emit(other, {})

        await app.register()
        env.emit("ping", {})

        with pytest.raises(NeverSettlesError, match=r"after 50 calls: shop-on-ping \(26 calls\), shop-on-pong \(25 "):
            await local.asettle()

    async def test_not_twice_at_once(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Settling inside of settling, from a function for example, is refused.
        """

        @app.on("order/paid", retries=0)
        async def ship(ctx: inngest.Context) -> None:
            await local.asettle()

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()
        await local.asettle()

        assert env.log.failures[0].error == RunError("LocalInngestError", "asettle() is running already")

    def test_sync(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A test without event loop registers and settles as often as it likes, the SDK's own client included.
        """

        @app.on("order/paid", fn_id="ship")
        async def ship(ctx: inngest.Context) -> None:
            await ctx.step.send_event("tell", inngest.Event(name="order/shipped"))

        @app.on("order/shipped", fn_id="thank")
        async def thank(ctx: inngest.Context) -> None:
            pass

        env.register(app.asgi)
        for _ in range(3):
            env.emit("order/paid", {})
            local.settle()
        gc.collect()

        assert [run.status for run in env.log.runs_of("thank")] == ["completed"] * 3

    async def test_sync_inside_a_loop(self, local: LocalInngest) -> None:
        """
        An async test that calls the sync twin is told so.
        """
        with pytest.raises(LocalInngestError, match=r"await asettle\(\)"):
            local.settle()

    async def test_own_clock(
        self,
    ) -> None:
        """
        A clock that the test has made is the one that is moved and shown.
        """
        clock = Clock(datetime(2030, 5, 1, tzinfo=UTC))
        with LocalInngest(clock=clock) as local:
            env = local.environment("shop")
            app = App(env)

            @app.on("order/paid", retries=1)
            async def ship(ctx: inngest.Context) -> None:
                raise OSError

            await app.register()
            env.emit("order/paid", {})
            await local.asettle()

        assert local.clock is clock
        assert clock() == datetime(2030, 5, 1, 0, 0, 30, tzinfo=UTC)


class TestLose:
    @pytest.fixture
    async def executed(self, app: App) -> list[str]:
        """
        What a registered function of two steps has executed.
        """
        executed = []

        async def step(name: str) -> None:
            executed.append(name)

        @app.on("order/paid", fn_id="ship", retries=2)
        async def ship(ctx: inngest.Context) -> str:
            await ctx.step.run("pick", step, "pick")
            await ctx.step.run("pack", step, "pack")
            executed.append(f"end {ctx.attempt}")
            return "shipped"

        await app.register()
        return executed

    async def test_step(self, env: Environment, local: LocalInngest, executed: list[str]) -> None:
        """
        A step whose answer is lost is executed again, later, and once only if one answer is lost.
        """
        env.lose(function="ship", step="pack")
        for _ in range(2):
            env.emit("order/paid", {})
            await local.asettle()

        first, second = env.log.runs
        assert (first.status, first.output, first.attempts) == ("completed", "shipped", 2)
        assert first.steps == ["pick", "pack", "pack"]
        assert second.steps == ["pick", "pack"]
        assert executed == ["pick", "pack", "pack", "end 0", "pick", "pack", "end 0"]
        assert env.log.lost == [LostAnswer("ship", "pack", first.id)]
        assert local.clock() == START + timedelta(seconds=30)

    async def test_end(self, env: Environment, local: LocalInngest, executed: list[str]) -> None:
        """
        A run whose last answer is lost makes its last call again, with nothing but that repeated.
        """
        env.lose(function="shop-ship", times=2)
        env.emit("order/paid", {})
        await local.asettle()

        assert executed == ["pick", "pack", "end 0", "end 1", "end 2"]
        assert env.log.runs[0].output == "shipped"

    async def test_all(self, env: Environment, local: LocalInngest, executed: list[str]) -> None:
        """
        If each attempt's answer is lost the run fails, though the work is done.
        """
        env.lose(function="ship", times=3)
        env.emit("order/paid", {})
        await local.asettle()

        assert executed[-1] == "end 2"
        assert env.log.failures[0].error == RunError("Error", "the app did not answer")

    async def test_others(self, env: Environment, local: LocalInngest, executed: list[str]) -> None:
        """
        Answers of other functions and steps aren't lost.
        """
        env.lose(function="ship", step="unpack")
        env.lose(function="other")
        env.emit("order/paid", {})
        await local.asettle()

        assert (executed, env.log.lost) == (["pick", "pack", "end 0"], [])


def test_imports_little() -> None:
    """
    Importing the package needs httpx and the standard library, not even inngest.
    """
    code = (
        "import sys, httpx, crossapp_core; known = {name.split('.')[0] for name in sys.modules};"
        "import crossapp_core.testing; new = {name.split('.')[0] for name in sys.modules} - known;"
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout == "[]\n"


async def _nothing(ctx: inngest.Context) -> None:
    pass


async def _pack() -> str:
    return "shipped"


def _served(asgi: fastapi.FastAPI) -> Iterator[str]:
    """
    Serve *asgi* while its URL is being used.
    """
    server = uvicorn.Server(uvicorn.Config(asgi, port=0, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
