from __future__ import annotations

from datetime import UTC, datetime, timedelta

import inngest
import pytest

from crossapp_core.testing import Environment, LocalInngest, LocalInngestError, RunError
from tests.core.testing.apps import App

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
async def sweeping(app: App) -> App:
    """
    A registered app with one function that has a timetable and one that hasn't.
    """

    @app.client.create_function(fn_id="sweep", trigger=inngest.TriggerCron(cron="0 4 * * *"), retries=0)
    async def sweep(ctx: inngest.Context) -> list[object]:
        if ctx.event.data == {}:
            raise ValueError(ctx.event.name)
        return [ctx.event.name, dict(ctx.event.data), ctx.event.ts]

    app.functions.append(sweep)

    @app.on("order/paid", fn_id="ship")
    async def ship(ctx: inngest.Context) -> None:
        pass

    await app.register()
    return app


class TestRunCron:
    async def test_event(self, sweeping: App, env: Environment, local: LocalInngest) -> None:
        """
        The function runs, when the test settles, on the event that Inngest makes for a cron; nothing else does.
        """
        local.clock.set(NOON)
        env.run_cron("sweep")
        assert [run.status for run in env.log.runs] == ["running"]
        await local.asettle()

        ms = int(NOON.timestamp() * 1000)
        [run] = env.log.runs
        assert (run.function_id, run.output) == ("sweep", ["inngest/scheduled.timer", {"cron": "0 4 * * *"}, ms])
        assert env.log.internal == env.log.events("inngest/scheduled.timer") == [run.event]
        assert env.log.received == []

    async def test_again(self, sweeping: App, env: Environment, local: LocalInngest) -> None:
        """
        It runs as often as it is asked to, by either id, and never by time.
        """
        for id_ in ("sweep", "shop-sweep"):
            env.run_cron(id_)
            local.clock.advance(timedelta(days=3))
            await local.asettle()

        assert len(env.log.runs) == 2

    @pytest.mark.parametrize("id_", ["ship", "weep", "", "school-sweep"])
    async def test_none(self, sweeping: App, env: Environment, id_: str) -> None:
        """
        A function without timetable, or none at all, is an error that names those that can be run.
        """
        with pytest.raises(LocalInngestError, match=f"no registered function '{id_}' .* have one: shop-sweep"):
            env.run_cron(id_)

    async def test_two_apps(self, sweeping: App, env: Environment, local: LocalInngest) -> None:
        """
        An id that two apps have isn't enough.
        """
        school = App(env, "school")

        @school.client.create_function(fn_id="sweep", trigger=inngest.TriggerCron(cron="0 5 * * *"))
        async def sweep(ctx: inngest.Context) -> str:
            return "swept the school"

        school.functions.append(sweep)
        await school.register()

        with pytest.raises(LocalInngestError, match="'sweep' may be any of school-sweep, shop-sweep"):
            env.run_cron("sweep")
        env.run_cron("school-sweep")
        await local.asettle()
        assert [run.output for run in env.log.runs] == ["swept the school"]


class TestFailed:
    async def test_log(self, app: App, env: Environment, local: LocalInngest) -> None:
        """
        A run that fails for good leaves Inngest's own event in the log, apart from what was sent.
        """

        @app.on("order/paid", fn_id="ship", retries=0)
        async def ship(ctx: inngest.Context) -> None:
            raise OSError("no paper")

        await app.register()
        env.emit("order/paid", {"order": 7}, id="o7")
        await local.asettle()

        [failed] = env.log.events("inngest/function.failed")
        assert env.log.internal == [failed]
        assert [event.id for event in env.log.received] == ["o7"]
        [run] = env.log.failures
        assert (failed.data["function_id"], failed.data["run_id"]) == ("shop-ship", run.id)
        assert run.error == RunError("OSError", "no paper")
