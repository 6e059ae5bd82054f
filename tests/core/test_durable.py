from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crossapp_core import durable
from crossapp_core.durable import Run
from crossapp_core.errors import (
    CatalogError,
    CrossAppError,
    EventRejectedError,
    PeerUnavailableError,
    StorageError,
    UnconfirmedEventError,
)
from crossapp_core.testing import Environment, LocalInngest
from crossapp_core.testing import Run as LoggedRun
from tests.core.testing.apps import App

START = datetime(2026, 1, 1, tzinfo=UTC)
FINAL = EventRejectedError("signature", "the proof is wrong")
PASSING = StorageError("grant", "Deadlock 1213")


@dataclass
class Bench:
    """
    An app whose functions are written once and made in one of the two flavours.
    """

    local: LocalInngest
    env: Environment
    app: App
    is_async: bool
    at: list[datetime] = field(default_factory=list)
    """When `tick` was called."""

    def add(
        self, body: durable.Body[Any], *, fn_id: str = "handle", on_failure: durable.Body[None] | None = None
    ) -> None:
        """
        Make a function of *body*.
        """
        function = durable.create_function(
            self.app.client,
            body,
            fn_id=fn_id,
            events=["order/paid", "order/sent"],
            is_async=self.is_async,
            on_failure=on_failure,
        )
        self.app.functions.append(function)

    async def run(self, name: str = "order/paid", **data: object) -> LoggedRun:
        """
        Send an event, wait until nothing is left to do, and return the first run.
        """
        await self.app.register()
        self.env.emit(name, data, id="evt-1")
        await self.local.asettle()
        return self.env.log.runs[0]

    def tick(self) -> int:
        """
        Note the time, and say how often it was noted.
        """
        self.at.append(self.local.clock())
        return len(self.at)


@pytest.fixture(params=["async", "sync"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """
    Each flavour in turn.
    """
    with LocalInngest() as local:
        env = local.environment("shop")
        yield Bench(local, env, App(env), is_async=request.param == "async")


async def fail(error: Exception) -> None:
    raise error


class TestCreateFunction:
    async def test_flavour(self, bench: Bench) -> None:
        """
        The flavour decides what the SDK calls: a coroutine in the event loop, or a function in a thread.
        """

        async def body(run: Run) -> None:
            return None

        bench.add(body)
        assert bench.app.functions[0].is_handler_async is bench.is_async

    @pytest.mark.parametrize("name", ["order/paid", "order/sent"])
    async def test_steps(self, bench: Bench, name: str) -> None:
        """
        A body sees its event, does its steps one after the other, each once, and returns what it likes.
        """

        async def body(run: Run) -> list[object]:
            async def double() -> int:
                bench.tick()
                return int(str(run.event.data["count"])) * 2

            doubled = await run.step("double", double)

            async def describe() -> dict[str, object]:
                bench.tick()
                return {"name": run.event.name, "doubled": doubled}

            return [await run.step("describe", describe), run.event.id]

        bench.add(body)
        run = await bench.run(name, count=4)
        assert run.output == [{"name": name, "doubled": 8}, "evt-1"]
        assert (run.status, run.steps, len(bench.at)) == ("completed", ["double", "describe"], 2)

    async def test_crash_after_a_step(self, bench: Bench) -> None:
        """
        If the process dies after a step, only that step is done again.
        """

        async def body(run: Run) -> int:
            async def first() -> int:
                return bench.tick()

            async def second() -> int:
                return bench.tick()

            return await run.step("first", first) + await run.step("second", second)

        bench.add(body)
        bench.env.lose(function="handle", step="second")
        run = await bench.run()
        assert run.steps == ["first", "second", "second"]
        assert run.output == 1 + 3

    async def test_no_steps(self, bench: Bench) -> None:
        """
        A body without steps is done as a whole.
        """

        async def body(run: Run) -> Mapping[str, object]:
            return run.event.data

        bench.add(body)
        run = await bench.run(count=1)
        assert (run.output, run.steps) == ({"count": 1}, [])


@pytest.mark.parametrize("in_step", [True, False], ids=["in a step", "outside of steps"])
class TestErrors:
    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (FINAL, "event-rejected: signature: the proof is wrong"),
            (CrossAppError("nobody said that it may pass"), "cross-app: nobody said that it may pass"),
        ],
    )
    async def test_final(self, bench: Bench, in_step: bool, error: CrossAppError, message: str) -> None:
        """
        An error that another attempt can't overcome ends the run at the first, and says which it is.
        """
        bench.add(failing(bench, [error], in_step=in_step))
        run = await bench.run()
        assert (run.status, run.attempts, len(bench.at)) == ("failed", 1, 1)
        assert run.error is not None
        assert run.error.message == message

    @pytest.mark.parametrize(
        "error",
        [
            PASSING,
            UnconfirmedEventError("pur_1", "owned"),
            CatalogError("prod_1", "is no list"),
            PeerUnavailableError("ai-hero", "503"),
            ZeroDivisionError("a bug of ours"),
        ],
        ids=lambda error: type(error).__name__,
    )
    async def test_passing(self, bench: Bench, in_step: bool, error: Exception) -> None:
        """
        Any other error is tried again, and forgotten when that succeeds.
        """
        bench.add(failing(bench, [error, error], in_step=in_step))
        run = await bench.run()
        assert (run.status, run.output, run.error) == ("completed", 3, None)
        assert (run.attempts, len(bench.at)) == (3, 3)

    async def test_kept_name(self, bench: Bench, in_step: bool) -> None:
        """
        What never passes fails after 21 attempts, with the error's own name and message.
        """
        bench.add(failing(bench, [PASSING] * 30, in_step=in_step))
        run = await bench.run()
        assert (run.status, run.attempts, len(bench.at)) == ("failed", 21, 21)
        assert bench.at[-1] - START > timedelta(hours=12)
        assert run.error is not None
        assert (run.error.name, run.error.message) == ("StorageError", "grant was rolled back: Deadlock 1213")

    async def test_retry_after(self, bench: Bench, in_step: bool) -> None:
        """
        Where somebody said how long to wait, that long is waited.
        """
        error = PeerUnavailableError("ai-hero", "429", retry_after=timedelta(hours=3))
        bench.add(failing(bench, [error], in_step=in_step))
        run = await bench.run()
        assert (run.status, bench.at) == ("completed", [START, START + timedelta(hours=3)])

    @pytest.mark.parametrize("kind", ["final", "passing", "waiting"])
    async def test_stack(self, bench: Bench, in_step: bool, kind: str) -> None:
        """
        The stack that Inngest stores doesn't tell what our error was made from.
        """
        retry_after = timedelta(hours=1) if kind == "waiting" else None
        made = FINAL if kind == "final" else PeerUnavailableError("ai-hero", "503", retry_after=retry_after)
        stacks: list[object] = []

        async def work() -> None:
            try:
                msg = "POST https://inn.gs/e/the-event-key"
                raise OSError(msg)
            except OSError as error:
                raise made from error

        async def body(run: Run) -> None:
            await (run.step("work", work) if in_step else work())

        async def note(run: Run) -> None:
            stacks.append(run.event.data["error"])

        bench.add(body, on_failure=note)
        assert (await bench.run()).status == "failed"
        assert "the-event-key" not in str(stacks)
        assert "503" in str(stacks) or "the proof is wrong" in str(stacks)


def failing(bench: Bench, errors: list[Exception], *, in_step: bool) -> durable.Body[int]:
    """
    A body that raises one error after the other, and then returns how often it was tried.
    """

    async def work() -> int:
        count = bench.tick()
        if count <= len(errors):
            raise errors[count - 1]
        return count

    async def body(run: Run) -> int:
        return await (run.step("work", work) if in_step else work())

    return body


class TestOnFailure:
    async def test_last_word(self, bench: Bench) -> None:
        """
        When a run has failed for good, its event and error are told once, in the same flavour.
        """
        seen: list[object] = []

        async def body(run: Run) -> None:
            await run.step("work", lambda: fail(FINAL))

        async def note(run: Run) -> None:
            original, error = run.event.data["event"], run.event.data["error"]
            assert isinstance(original, Mapping)
            assert isinstance(error, Mapping)

            async def write() -> None:
                seen.append((original["name"], original["data"], error["message"]))

            await run.step("write", write)

        bench.add(body, on_failure=note)
        await bench.run(order=7)
        assert seen == [("order/paid", {"order": 7}, "event-rejected: signature: the proof is wrong")]
        assert [run.status for run in bench.env.log.runs] == ["failed", "completed"]

    async def test_not_after_success(self, bench: Bench) -> None:
        """
        A run that got through in the end is no failure.
        """
        seen: list[object] = []

        async def note(run: Run) -> None:
            seen.append(run.event.data)

        bench.add(failing(bench, [PASSING], in_step=True), on_failure=note)
        assert (await bench.run()).status == "completed"
        assert seen == []


class TestMixedFlavours:
    async def test_async_work_in_a_sync_function(self, bench: Bench) -> None:
        """
        Work that really waits is told to be in the wrong flavour, in a sync function.
        """

        async def waits() -> str:
            await asyncio.sleep(0)
            return "done"

        async def body(run: Run) -> str:
            return await run.step("work", waits)

        bench.add(body)
        run = await bench.run()
        if bench.is_async:
            assert run.output == "done"
        else:
            assert run.error is not None
            assert "an async engine or port needs the async flavour" in run.error.message
