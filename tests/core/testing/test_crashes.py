from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import inngest
import pytest

from crossapp_core.testing import Crash, Environment, LocalInngest, LocalInngestError, RunError
from tests.core.testing.apps import App

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def done(app: App) -> list[str]:
    """
    What a registered function of some steps has done, with what stands between them.
    """
    done: list[str] = []

    async def step(name: str) -> None:
        done.append(name)

    @app.on("order/paid", fn_id="ship", retries=2)
    async def ship(ctx: inngest.Context) -> str:
        done.append(f"begin {ctx.attempt}")
        await ctx.step.run("pick", step, "pick")
        await ctx.step.sleep("rest", timedelta(minutes=5))
        done.append("rested")
        await ctx.step.run("pack", step, "pack")
        await ctx.step.send_event("tell", inngest.Event(name="order/shipped"))
        return "shipped"

    await app.register()
    return done


@pytest.fixture
async def untouched(env: Environment, local: LocalInngest, done: list[str]) -> list[str]:
    """
    What it does if nothing happens.
    """
    env.emit("order/paid", {})
    await local.asettle()
    untouched = list(done)
    done.clear()
    local.clock.set(START)
    return untouched


class TestBefore:
    async def test_step(self, env: Environment, local: LocalInngest, done: list[str]) -> None:
        """
        The process dies where it reaches the step, which isn't entered before the next attempt.
        """
        env.crash("ship", before="pack")
        env.emit("order/paid", {})
        await local.asettle(within=timedelta(minutes=5))
        before = list(done)
        await local.asettle()

        assert (before[-1], before.count("pack")) == ("rested", 0)
        [run] = env.log.runs
        assert (run.status, run.output, run.attempts) == ("completed", "shipped", 2)
        assert run.steps == ["pick", "pack", "tell"]
        assert [done.count(name) for name in ("pick", "pack")] == [1, 1]
        assert env.log.crashes == [Crash("ship", run.id, before="pack", after=None)]
        assert local.clock() == START + timedelta(minutes=5, seconds=30)

    @pytest.mark.parametrize("step", ["pick", "rest", "pack", "tell"])
    async def test_any(self, env: Environment, local: LocalInngest, done: list[str], step: str) -> None:
        """
        Any step can be died before, the first, a sleep and the sending of an event included; each is done once.
        """
        env.crash("ship", before=step, times=2)
        env.emit("order/paid", {})
        await local.asettle()

        assert env.log.runs[0].output == "shipped"
        assert [crash.before for crash in env.log.crashes] == [step] * 2
        assert [done.count(name) for name in ("pick", "pack")] == [1, 1]
        assert len(env.log.events("order/shipped")) == 1
        assert local.clock() == START + timedelta(minutes=5, seconds=30 + 60)

    async def test_parallel(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        Before a step of a parallel group, the process dies before all of them.
        """
        done = []

        async def step(name: str) -> None:
            done.append((name, local.clock()))

        @app.on("order/paid", fn_id="ship")
        async def ship(ctx: inngest.Context) -> None:
            steps = (lambda: ctx.step.run("a", step, "a"), lambda: ctx.step.run("b", step, "b"))
            await ctx.group.parallel(steps)

        await app.register()
        env.crash("shop-ship", before="b")
        env.emit("order/paid", {})
        await local.asettle()

        later = START + timedelta(seconds=30)
        assert done == [("a", later), ("b", later)]

    async def test_repeated_step(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A step that is called by itself, as one of a group that has failed before, isn't entered either.
        """
        done = []

        async def step(name: str) -> None:
            done.append((name, local.clock()))
            if len(done) == 2:
                raise OSError("no paper")

        @app.on("order/paid", fn_id="ship")
        async def ship(ctx: inngest.Context) -> None:
            steps = (lambda: ctx.step.run("a", step, "a"), lambda: ctx.step.run("b", step, "b"))
            await ctx.group.parallel(steps)

        await app.register()
        env.emit("order/paid", {})
        await local.asettle(within=timedelta(0))
        env.crash("ship", before="b")
        await local.asettle()

        later = START + timedelta(seconds=30 + 60)
        assert done == [("a", START), ("b", START), ("b", later)]
        assert (env.log.runs[0].status, env.log.runs[0].attempts, len(env.log.crashes)) == ("completed", 3, 1)
        done.clear()

        env.emit("order/paid", {})
        await local.asettle(within=timedelta(0))
        env.crash("ship", before="b", times=4)
        await local.asettle()
        assert done == [("a", later), ("b", later)]
        assert (env.log.runs[1].status, env.log.runs[1].attempts, len(env.log.crashes)) == ("failed", 5, 5)

    async def test_sync_function(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A function without async dies before its steps just so.
        """
        done: list[str] = []

        @app.client.create_function(fn_id="ship", trigger=inngest.TriggerEvent(event="order/paid"))
        def ship(ctx: inngest.ContextSync) -> None:
            ctx.step.run("pick", done.append, "pick")
            ctx.step.run("pack", done.append, "pack")

        app.functions.append(ship)
        await app.register()
        env.crash("ship", before="pack")
        env.emit("order/paid", {})
        await local.asettle(within=timedelta(0))
        before = list(done)
        await local.asettle()

        assert (before, done) == (["pick"], ["pick", "pack"])

    async def test_too_late(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A crash that is asked for while the step is on its way leaves what it has done.
        """
        done: list[str] = []

        @app.on("order/paid", fn_id="ship")
        async def ship(ctx: inngest.Context) -> None:
            if not done:
                env.crash("ship", before="pack")
            await ctx.step.run("pack", _append, done, "pack")

        await app.register()
        env.emit("order/paid", {})
        await local.asettle()

        assert (done, env.log.crashes, env.log.runs[0].attempts) == (["pack"], [], 1)

    async def test_never_reached(
        self, env: Environment, local: LocalInngest, untouched: list[str], done: list[str]
    ) -> None:
        """
        Nothing dies if the step is never reached; each other step is still done once.
        """
        env.crash("ship", before="unpack")
        env.emit("order/paid", {})
        await local.asettle()

        run = env.log.runs[-1]
        assert (run.attempts, run.steps, env.log.crashes) == (1, ["pick", "pack", "tell"], [])
        assert [name for name in done if " " not in name and name != "rested"] == ["pick", "pack"]
        assert untouched.count("rested") <= done.count("rested")


class TestAfter:
    async def test_step(self, env: Environment, local: LocalInngest, done: list[str]) -> None:
        """
        The step is remembered and the next call finds nobody, so that nothing more happens before the next attempt.
        """
        env.crash("ship", after="pick")
        env.emit("order/paid", {})
        await local.asettle(within=timedelta(0))
        before = list(done)
        await local.asettle()

        assert before == ["begin 0", "pick"]
        assert done[2] == "begin 1"
        [run] = env.log.runs
        assert (run.output, run.attempts, run.steps) == ("shipped", 2, ["pick", "pack", "tell"])
        assert env.log.crashes == [Crash("ship", run.id, before=None, after="pick")]
        assert local.clock() == START + timedelta(minutes=5, seconds=30)

    @pytest.mark.parametrize("step", ["pick", "rest", "pack", "tell"])
    async def test_any(self, env: Environment, local: LocalInngest, done: list[str], step: str) -> None:
        """
        Any step can be died after, a sleep, the sending of an event and the last one included; none is repeated.
        """
        env.crash("shop-ship", after=step)
        env.emit("order/paid", {})
        await local.asettle()

        assert (env.log.runs[0].output, env.log.runs[0].attempts) == ("shipped", 2)
        assert [crash.after for crash in env.log.crashes] == [step]
        assert [done.count(name) for name in ("pick", "pack")] == [1, 1]
        assert len(env.log.events("order/shipped")) == 1

    async def test_failed_step(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A step that has failed for good is remembered too.
        """

        async def pack() -> None:
            raise OSError("no paper")

        @app.on("order/paid", fn_id="ship", retries=1)
        async def ship(ctx: inngest.Context) -> str:
            try:
                await ctx.step.run("pack", pack)
            except inngest.StepError as error:
                return f"{error.message}, attempt {ctx.attempt}"
            return ""

        await app.register()
        env.crash("ship", after="pack")
        env.emit("order/paid", {})
        await local.asettle()

        assert (env.log.runs[0].output, env.log.runs[0].steps) == ("no paper, attempt 1", ["pack", "pack"])


class TestBoth:
    @pytest.mark.parametrize("moment", ["before", "after"])
    async def test_others(
        self, env: Environment, local: LocalInngest, untouched: list[str], done: list[str], moment: str
    ) -> None:
        """
        Other functions live, and so does the next run.
        """
        _crash(env, "other", moment)
        env.emit("order/paid", {})
        await local.asettle()
        assert done == untouched
        done.clear()
        local.clock.set(START)

        _crash(env, "ship", moment)
        for _ in range(2):
            env.emit("order/paid", {})
            await local.asettle()

        assert [run.attempts for run in env.log.runs] == [1, 1, 2, 1]

    @pytest.mark.parametrize("moment", ["before", "after"])
    async def test_for_good(self, app: App, env: Environment, local: LocalInngest, moment: str) -> None:
        """
        A death in the last attempt fails the run, and its on_failure hears of it.
        """

        async def on_failure(ctx: inngest.Context) -> object:
            return ctx.event.data["error"]

        @app.on("order/paid", fn_id="ship", retries=0, on_failure=on_failure)
        async def ship(ctx: inngest.Context) -> None:
            await ctx.step.run("pack", asyncio.sleep, 0)

        await app.register()
        _crash(env, "ship", moment)
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.failures
        assert (run.error, run.attempts) == (RunError("Error", "the app died"), 1)
        assert env.log.runs_of("ship-failure")[0].output == {"name": "Error", "message": "the app died", "stack": None}

    async def test_arguments(self, env: Environment) -> None:
        """
        A crash needs one moment, and no more.
        """
        for step in (None, "pick"):
            with pytest.raises(LocalInngestError, match="either before or after"):
                env.crash("ship", before=step, after=step)


async def _append(done: list[str], step: str) -> None:
    done.append(step)


def _crash(env: Environment, function: str, moment: str) -> None:
    env.crash(function, before="pack" if moment == "before" else None, after="pack" if moment == "after" else None)
