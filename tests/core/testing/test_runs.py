from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import fastapi
import inngest
import inngest.fast_api
import pytest

from crossapp_core.testing import Environment, LocalInngest, RunError, UnsupportedError
from tests.core.testing.apps import App

Next = Callable[[fastapi.Request], Awaitable[fastapi.Response]]


class TestFunctions:
    async def test_event_runs_function(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        An event runs the function that it triggers, once, with the event as it was sent.
        """
        seen: list[object] = []

        @app.on("order/paid", fn_id="ship")
        async def ship(ctx: inngest.Context) -> dict[str, int]:
            seen.append((ctx.event.name, ctx.event.id, ctx.event.data, ctx.event.ts, ctx.attempt))
            assert ctx.events == [ctx.event]
            return {"parcels": 2}

        @app.on("order/refunded", fn_id="take-back")
        async def take_back(ctx: inngest.Context) -> None:
            seen.append(("never",))

        await app.register()
        env.emit("order/paid", {"order": 7}, id="o7")
        await local.asettle()

        new_year = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
        assert seen == [("order/paid", "o7", {"order": 7}, new_year, 0)]
        [run] = env.log.runs
        assert (run.function_id, run.full_id, run.event.id) == ("ship", "shop-ship", "o7")
        assert (run.status, run.output, run.error, run.attempts, run.steps) == (
            "completed",
            {"parcels": 2},
            None,
            1,
            [],
        )
        assert env.log.runs_of("ship") == env.log.runs_of("shop-ship") == [run]
        assert env.log.runs_of("take-back") == []

    async def test_nothing_runs_unasked(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Until the test settles, a run is only begun.
        """

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> None:
            pass

        await app.register()
        env.emit("order/paid", {})

        assert [run.status for run in env.log.runs] == ["running"]
        await local.asettle()
        assert [run.status for run in env.log.runs] == ["completed"]

    async def test_event_without_id(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A function sees the internal id of an event that was sent without one.
        """

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> str:
            return ctx.event.id

        await app.register()
        internal_id = env.emit("order/paid", {})
        await local.asettle()

        assert env.log.runs[0].output == internal_id

    async def test_duplicate_runs_nothing(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A repeated id runs nothing within 24 hours, even after a failed run, and runs again after them.
        """

        @app.on("order/paid", retries=0)
        async def ship(ctx: inngest.Context) -> None:
            raise inngest.NonRetriableError("no")

        await app.register()
        for wait in (timedelta(0), timedelta(hours=23), timedelta(hours=1)):
            local.clock.advance(wait)
            env.emit("order/paid", {}, id="o7")
            await local.asettle()

        assert [run.event.at.day for run in env.log.runs] == [1, 2]

    async def test_pattern(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A trigger that ends with an asterisk listens to all names that begin so.
        """

        @app.on("order/*")
        async def note(ctx: inngest.Context) -> None:
            pass

        await app.register()
        for name in ("order/paid", "order/refunded", "user/login"):
            env.emit(name, {})
        await local.asettle()

        assert [run.event.name for run in env.log.runs] == ["order/paid", "order/refunded"]

    async def test_sync_function(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A function without async runs in the SDK's thread pool, steps and all.
        """
        trigger = inngest.TriggerEvent(event="order/paid")

        @app.client.create_function(fn_id="ship", trigger=trigger)
        def ship(ctx: inngest.ContextSync) -> int:
            return ctx.step.run("weigh", lambda: 3) + 1

        app.functions.append(ship)
        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        assert (env.log.runs[0].output, env.log.runs[0].steps) == (4, ["weigh"])

    async def test_cron(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A function with a timetable is registered but never run by it.
        """
        trigger: list[inngest.TriggerCron | inngest.TriggerEvent] = [
            inngest.TriggerCron(cron="* * * * *"),
            inngest.TriggerEvent(event="order/paid"),
        ]

        @app.client.create_function(fn_id="sweep", trigger=trigger)
        async def sweep(ctx: inngest.Context) -> None:
            pass

        app.functions.append(sweep)
        await app.register()
        await local.asettle()
        assert env.log.runs == []
        env.emit("order/paid", {})
        await local.asettle()
        assert len(env.log.runs) == 1


class TestSteps:
    async def test_executed_once(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Each step is executed once and its result remembered, null included; a repeated name is another step.
        """
        executed: list[str] = []
        calls = []

        async def step(name: str, result: object) -> object:
            executed.append(name)
            return result

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> list[object]:
            calls.append(ctx.attempt)
            return [
                await ctx.step.run("pick", step, "pick", {"data": 1}),
                await ctx.step.run("pack", step, "pack", None),
                await ctx.step.run("pick", step, "pick again", [2]),
            ]

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.runs
        assert executed == ["pick", "pack", "pick again"]
        assert calls == [0, 0, 0, 0]
        assert run.output == [{"data": 1}, None, [2]]
        assert (run.steps, run.attempts) == (["pick", "pack", "pick"], 1)

    async def test_failed_step_is_repeated(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A step that raises is executed again after a while, without those before it.
        """
        executed = []

        async def pick() -> None:
            executed.append("pick")

        async def pack() -> str:
            executed.append("pack")
            if executed.count("pack") < 3:
                raise OSError("no paper")
            return "packed"

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> str:
            await ctx.step.run("pick", pick)
            return await ctx.step.run("pack", pack)

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.runs
        assert executed == ["pick", "pack", "pack", "pack"]
        assert (run.status, run.output, run.attempts) == ("completed", "packed", 3)
        assert local.clock() == datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=30 + 60)

    async def test_exhausted_step_is_caught(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        After its last attempt a step's error can be caught in the function, which then goes on.
        """
        attempts = []

        async def pack() -> None:
            attempts.append("pack")
            raise OSError("no paper")

        async def apologise() -> str:
            return "sorry"

        @app.on("order/paid", retries=2)
        async def ship(ctx: inngest.Context) -> list[str]:
            try:
                await ctx.step.run("pack", pack)
            except inngest.StepError as error:
                return [error.name, error.message, await ctx.step.run("apologise", apologise)]
            return []

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.runs
        assert (run.status, run.output) == ("completed", ["OSError", "no paper", "sorry"])
        assert attempts == ["pack"] * 3
        assert run.steps == ["pack", "pack", "pack", "apologise"]

    async def test_exhausted_step_fails_the_run(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        If nobody catches it, a step's last error is the run's, without further attempts.
        """

        async def pack() -> None:
            raise OSError("no paper")

        @app.on("order/paid", retries=1)
        async def ship(ctx: inngest.Context) -> None:
            await ctx.step.run("pack", pack)

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.failures
        assert (run.error, run.steps) == (RunError("OSError", "no paper"), ["pack", "pack"])

    async def test_nested_step(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A step inside a step, which the SDK forbids, fails without another attempt.
        """

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> None:
            async def outer() -> None:
                await ctx.step.run("inner", asyncio.sleep, 0)

            await ctx.step.run("outer", outer)

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.failures
        assert run.error is not None
        assert "Nested steps" in run.error.message
        assert (run.steps, local.clock()) == (["outer"], datetime(2026, 1, 1, tzinfo=UTC))

    async def test_sleep(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A sleep takes its time on the injected clock and none on the real one.
        """
        woke = []

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> str:
            await ctx.step.sleep("rest", timedelta(hours=36))
            woke.append(local.clock())
            return "rested"

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        assert env.log.runs[0].output == "rested"
        assert woke == [datetime(2026, 1, 2, 12, tzinfo=UTC)]

    async def test_parallel(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Steps of a parallel group are each executed once; the function goes on when all are done.
        """
        executed = []

        async def step(name: str) -> str:
            executed.append(name)
            if executed.count("b") == 1 and name == "b":
                raise OSError("again")
            return name

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> list[object]:
            group = await ctx.group.parallel(
                (
                    lambda: ctx.step.run("a", step, "a"),
                    lambda: ctx.step.run("b", step, "b"),
                    lambda: ctx.step.sleep("c", timedelta(seconds=10)),
                )
            )
            return [*group, await ctx.step.run("d", step, "d")]

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.runs
        assert executed == ["a", "b", "b", "d"]
        assert (run.status, run.output) == ("completed", ["a", "b", None, "d"])

    async def test_sdk_sends_events(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Events that the SDK sends run at once, though it stamps them with the real time.
        """

        @app.on("order/paid", fn_id="ship")
        async def ship(ctx: inngest.Context) -> None:
            await ctx.step.send_event("tell", inngest.Event(name="order/shipped", data={"n": 1}))
            await app.client.send(inngest.Event(name="order/shipped", data={"n": 2}))

        @app.on("order/shipped", fn_id="thank")
        async def thank(ctx: inngest.Context) -> tuple[object, int]:
            return ctx.event.data["n"], ctx.event.ts

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        new_year = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
        assert [run.output for run in env.log.runs_of("thank")] == [[1, new_year], [2, new_year]]
        assert local.clock() == datetime(2026, 1, 1, tzinfo=UTC)


class TestFailures:
    async def test_retries(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A function that raises is called again after Inngest's own delays, five times in all, and then has failed.
        """
        calls = []

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> None:
            calls.append((ctx.attempt, local.clock() - datetime(2026, 1, 1, tzinfo=UTC)))
            raise OSError(f"attempt {ctx.attempt}")

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        seconds = [0, 30, 30 + 60, 30 + 60 + 120, 30 + 60 + 120 + 300]
        assert calls == [(n, timedelta(seconds=second)) for n, second in enumerate(seconds)]
        [run] = env.log.failures
        assert (run.attempts, run.error) == (5, RunError("OSError", "attempt 4"))

    async def test_longest_delay(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Twenty retries, the most there are, last about a day: the delays end at two hours.
        """

        @app.on("order/paid", retries=20)
        async def ship(ctx: inngest.Context) -> None:
            raise OSError

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        assert env.log.failures[0].attempts == 21
        assert local.clock() - datetime(2026, 1, 1, tzinfo=UTC) == timedelta(hours=26, minutes=18, seconds=30)

    async def test_success_after_failure(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A later attempt that succeeds completes the run.
        """

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> int:
            if ctx.attempt < 2:
                raise OSError
            return ctx.attempt

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.runs
        assert (run.status, run.output, run.attempts, run.error, env.log.failures) == ("completed", 2, 3, None, [])

    @pytest.mark.parametrize("in_step", [True, False])
    async def test_non_retriable(self, app: App, env: Environment, local: LocalInngest, in_step: bool) -> None:
        """
        A NonRetriableError ends the run at once, wherever it is raised, and on_failure runs once.
        """
        told: list[Any] = []

        async def refuse() -> None:
            raise inngest.NonRetriableError("not ours")

        async def on_failure(ctx: inngest.Context) -> str:
            told.append(ctx.event.data)
            return "told"

        @app.on("order/paid", fn_id="ship", on_failure=on_failure)
        async def ship(ctx: inngest.Context) -> None:
            await (ctx.step.run("refuse", refuse) if in_step else refuse())

        await app.register()
        env.emit("order/paid", {"order": 7}, id="o7")
        await local.asettle()

        [run] = env.log.failures
        assert (run.attempts, run.error) == (1, RunError("NonRetriableError", "not ours"))
        [data] = told
        assert (data["function_id"], data["run_id"]) == ("shop-ship", run.id)
        assert data["event"] == {"id": "o7", "name": "order/paid", "data": {"order": 7}, "ts": run.event.ts}
        assert (data["error"]["name"], data["error"]["message"]) == ("NonRetriableError", "not ours")
        assert "Traceback" in data["error"]["stack"]
        assert env.log.runs_of("ship-failure")[0].output == "told"
        assert [event.name for event in env.log.received] == ["order/paid"]

    async def test_on_failure_of_the_failed_function_only(
        self, app: App, env: Environment, local: LocalInngest
    ) -> None:
        """
        Each on_failure belongs to one function, and has no retries.
        """

        async def on_failure(ctx: inngest.Context) -> None:
            raise OSError("not even that")

        for id_ in ("one", "two"):

            @app.on(f"{id_}/go", fn_id=id_, retries=0, on_failure=on_failure)
            async def body(ctx: inngest.Context) -> None:
                raise OSError

        await app.register()
        env.emit("one/go", {})
        await local.asettle()

        assert [(run.function_id, run.attempts) for run in env.log.failures] == [("one", 1), ("one-failure", 1)]

    async def test_any_failure(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A function may listen to the failures of all others.
        """

        @app.on("order/paid", fn_id="ship", retries=0)
        async def ship(ctx: inngest.Context) -> None:
            raise OSError

        @app.on("inngest/function.failed", fn_id="alarm")
        async def alarm(ctx: inngest.Context) -> object:
            return ctx.event.data["function_id"]

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        assert [run.output for run in env.log.runs_of("alarm")] == ["shop-ship"]

    @pytest.mark.parametrize("in_step", [True, False])
    async def test_retry_after(self, app: App, env: Environment, local: LocalInngest, in_step: bool) -> None:
        """
        A RetryAfterError is repeated after the time it names, measured on the injected clock.
        """
        calls = []

        async def wait() -> None:
            calls.append(local.clock())
            if len(calls) == 1:
                raise inngest.RetryAfterError("later", timedelta(hours=3))

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> None:
            await (ctx.step.run("wait", wait) if in_step else wait())

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        assert calls == [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (0, 3)]
        assert (env.log.runs[0].status, env.log.runs[0].attempts) == ("completed", 2)

    async def test_crash(self, env: Environment, local: LocalInngest) -> None:
        """
        An exception that escapes the whole app is a failed call, as when a process dies, and is repeated.
        """
        app = App(env)

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> str:
            return "shipped"

        asgi = app.asgi
        crashes = iter([RuntimeError("out of memory")])

        @asgi.middleware("http")
        async def crash(request: fastapi.Request, call_next: Next) -> fastapi.Response:
            if request.method == "POST":
                for error in crashes:
                    raise error
            return await call_next(request)

        await env.aregister(asgi)
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.runs
        assert (run.status, run.output, run.attempts) == ("completed", "shipped", 2)

    async def test_handler_is_gone(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        An answer that isn't the SDK's fails the call like an exception.
        """

        @app.on("order/paid", retries=1)
        async def ship(ctx: inngest.Context) -> None:
            pass

        asgi = app.asgi
        await env.aregister(asgi)
        asgi.router.routes.clear()
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.failures
        assert (run.error, run.attempts) == (RunError("Error", "the app answered 404: {'detail': 'Not Found'}"), 2)

    async def test_parallel_failure(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        When one step of a parallel group ends the run, nothing of it is called any more.
        """
        executed = []

        async def step(name: str) -> None:
            executed.append(name)
            raise inngest.NonRetriableError(name)

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> None:
            await ctx.group.parallel(
                (lambda: ctx.step.run("a", step, "a"), lambda: ctx.step.run("b", step, "b")),
            )

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        assert executed == ["a"]
        assert [run.error for run in env.log.runs] == [RunError("NonRetriableError", "a")]

    async def test_proxy(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        An app that is away for some seconds, as the proxy before it says, is called again after them.
        """

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> str:
            return "shipped"

        away = iter([fastapi.Response("deploying", 503, {"Retry-After": "120"})])
        asgi = app.asgi

        @asgi.middleware("http")
        async def proxy(request: fastapi.Request, call_next: Next) -> fastapi.Response:
            gone = next(away, None) if request.method == "POST" else None
            return gone or await call_next(request)

        await env.aregister(asgi)
        env.emit("order/paid", {})
        await local.asettle()

        assert (env.log.runs[0].output, env.log.runs[0].attempts) == ("shipped", 2)
        assert local.clock() == datetime(2026, 1, 1, 0, 2, tzinfo=UTC)


class TestUnsupported:
    @pytest.mark.parametrize(
        ("options", "feature"),
        [
            ({"debounce": inngest.Debounce(period=timedelta(seconds=5))}, "debounce"),
            ({"idempotency": "event.data.id"}, "idempotency"),
            ({"batch_events": inngest.Batch(max_size=2)}, "batchEvents"),
            ({"cancel": [inngest.Cancel(event="order/cancelled")]}, "cancel"),
            ({"expression": "event.data.total > 5"}, "the trigger expression 'event.data.total > 5'"),
        ],
    )
    async def test_options(
        self, app: App, env: Environment, local: LocalInngest, options: dict[str, object], feature: str
    ) -> None:
        """
        A function with an option that decides about its runs is registered; an event that runs it is an error.
        """

        @app.on("order/paid", fn_id="ship", **options)
        async def ship(ctx: inngest.Context) -> None:
            pass

        await app.register()
        env.emit("order/other", {})
        await local.asettle()
        env.emit("order/paid", {})

        with pytest.raises(UnsupportedError, match=rf"can't run shop-ship: {feature} is not supported"):
            await local.asettle()

    async def test_operations(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A step of another kind is an error that names it.
        """

        @app.on("order/paid", fn_id="ship")
        async def ship(ctx: inngest.Context) -> None:
            await ctx.step.wait_for_event("wait", event="order/picked", timeout=timedelta(days=1))

        await app.register()
        env.emit("order/paid", {})

        with pytest.raises(UnsupportedError, match="shop-ship: the operation WaitForEvent"):
            await local.asettle()

    async def test_race(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A parallel group whose steps race is an error: only groups that wait for all of them are done here.
        """

        @app.on("order/paid", fn_id="ship")
        async def ship(ctx: inngest.Context) -> None:
            steps = (lambda: ctx.step.run("a", asyncio.sleep, 0), lambda: ctx.step.run("b", asyncio.sleep, 0))
            await ctx.group.parallel(steps, parallel_mode=inngest.ParallelMode.RACE)

        await app.register()
        env.emit("order/paid", {})

        with pytest.raises(UnsupportedError, match="race mode"):
            await local.asettle()

    async def test_streamed_answer(self, env: Environment, local: LocalInngest) -> None:
        """
        An app that streams its answers is told that it can't here.
        """
        app = App(env)

        @app.on("order/paid")
        async def ship(ctx: inngest.Context) -> None:
            pass

        asgi = fastapi.FastAPI()
        inngest.fast_api.serve(asgi, app.client, app.functions, streaming=inngest.Streaming.FORCE)
        await env.aregister(asgi)
        env.emit("order/paid", {})

        with pytest.raises(UnsupportedError, match="a streamed answer"):
            await local.asettle()
