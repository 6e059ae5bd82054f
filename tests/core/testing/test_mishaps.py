from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import httpx
import inngest
import pytest

from crossapp_core.testing import Environment, LocalInngest, ReceivedEvent
from tests.core.testing.apps import App

START = datetime(2026, 1, 1, tzinfo=UTC)

Send: TypeAlias = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def send(env: Environment) -> Send:
    """
    Sends events of these names, each with that id, in one request; returns the ids of the answer.
    """

    async def send(*names: str, id: str | None = None) -> list[str]:  # noqa: A002
        async with httpx.AsyncClient(base_url=env.url, trust_env=False) as api:
            response = await api.post("/e/key", json=[{"name": name, "id": id} for name in names])
        assert response.status_code == 200
        ids: list[str] = response.json()["ids"]
        return ids

    return send


@pytest.fixture
async def ran(app: App, local: LocalInngest) -> list[tuple[str, datetime]]:
    """
    The events that a function has run on, and when.
    """
    ran: list[tuple[str, datetime]] = []

    @app.on("order/*")
    async def handle(ctx: inngest.Context) -> None:
        ran.append((ctx.event.name, local.clock()))

    await app.register()
    return ran


Ran: TypeAlias = list[tuple[str, datetime]]


class TestDrop:
    async def test_next(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        The next event of that name is answered like any, and gone; the one after runs.
        """
        env.drop("order/paid")
        [lost] = await send("order/paid")
        [kept] = await send("order/paid")
        await local.asettle()

        assert [event.internal_id for event in env.log.dropped] == [lost]
        assert [event.internal_id for event in env.log.received] == [kept]
        assert ran == [("order/paid", START)]

    async def test_sent_again(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        A dropped event's id isn't known afterwards: sent again, the event runs.
        """
        env.drop("order/paid")
        for _ in range(3):
            await send("order/paid", id="o7")
        await local.asettle()

        assert [event.duplicate for event in env.log.received] == [False, True]
        assert len(ran) == 1

    async def test_pattern(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        With an asterisk, so many events whose names begin so are lost, and no others.
        """
        env.drop("order/p*", times=2)
        await send("order/shipped", "order/picked", "order/packed", "order/paid")
        await local.asettle()

        assert [name for name, _ in ran] == ["order/shipped", "order/paid"]

    async def test_duplicate(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        A duplicate, which runs nothing anyway, leaves the fault for the next event.
        """
        await send("order/paid", id="o7")
        env.drop("order/paid")
        await send("order/paid", id="o7")
        await send("order/paid", id="o8")
        await local.asettle()

        assert ([event.id for event in env.log.dropped], len(ran)) == (["o8"], 1)


class TestDuplicate:
    async def test_next(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        The next event of that name runs twice, in spite of its id; the one after once.
        """
        env.duplicate("order/paid")
        await send("order/paid", id="o7")
        await send("order/paid", id="o8")
        await local.asettle()

        assert [run.event.id for run in env.log.runs] == ["o7", "o7", "o8"]
        assert [event.duplicate for event in env.log.received] == [False, False]

    async def test_others(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        Other events run once.
        """
        env.duplicate("order/refunded", times=3)
        await send("order/paid", "order/refunded", "order/refunded-not")
        await local.asettle()

        assert [name for name, _ in ran] == ["order/paid", "order/refunded", "order/refunded", "order/refunded-not"]


class TestDelay:
    async def test_next(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        The next event of that name runs so much later, and others overtake it.
        """
        env.delay("order/paid", by=timedelta(hours=2))
        await send("order/paid", "order/paid", "order/shipped")
        await local.asettle()

        assert ran == [("order/paid", START), ("order/shipped", START), ("order/paid", START + timedelta(hours=2))]
        assert {event.at for event in env.log.received} == {START}

    async def test_with_a_duplicate(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        Faults of different kinds meet in one event.
        """
        env.delay("order/paid", by=timedelta(hours=2))
        env.duplicate("order/*")
        await send("order/paid")
        await local.asettle()

        assert ran == [("order/paid", START + timedelta(hours=2))] * 2


class TestHold:
    async def test_released(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        Held events don't run until they are released, and then the newest runs first.
        """
        env.hold("order/p*")
        await send("order/paid", "order/shipped")
        await local.asettle()
        local.clock.advance(timedelta(hours=1))
        await send("order/picked")
        await local.asettle()
        held = [name for name, _ in ran]
        local.clock.advance(timedelta(hours=1))
        env.release()
        await local.asettle()

        assert held == ["order/shipped"]
        end = START + timedelta(hours=2)
        assert ran == [("order/shipped", START), ("order/picked", end), ("order/paid", end)]

    async def test_afterwards(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        After the release nothing is held any more, and a second one runs nothing again.
        """
        env.hold()
        await send("order/paid")
        env.release()
        await send("order/shipped")
        await local.asettle()
        after = list(ran)
        env.release()
        await local.asettle()

        assert [name for name, _ in after] == ["order/paid", "order/shipped"]
        assert ran == after

    async def test_delayed(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        An event that isn't due yet when it is released keeps its time.
        """
        env.delay("order/paid", by=timedelta(hours=2))
        env.hold()
        await send("order/paid", "order/shipped")
        env.release()
        await local.asettle()

        assert ran == [("order/shipped", START), ("order/paid", START + timedelta(hours=2))]


class TestEmit:
    async def test_past_all(self, env: Environment, local: LocalInngest, ran: Ran) -> None:
        """
        What a test emits itself is neither dropped, doubled, delayed nor held, and uses up no fault.
        """
        env.drop("*")
        env.duplicate("*")
        env.delay("*", by=timedelta(hours=1))
        env.hold()
        env.emit("order/paid", {})
        await local.asettle()

        assert (ran, env.log.dropped) == ([("order/paid", START)], [])


class TestSubscribe:
    async def test_events(self, env: Environment, local: LocalInngest, send: Send, ran: Ran) -> None:
        """
        A subscriber is called with each event when it is due, duplicates left out, and not before the test settles.
        """
        heard: list[tuple[str, datetime]] = []

        async def hear(event: ReceivedEvent) -> None:
            heard.append((event.name, local.clock()))

        env.subscribe(hear)
        env.delay("order/paid", by=timedelta(hours=1))
        await send("order/paid", "school/opened")
        await send("school/closed", "school/closed", id="s1")
        env.emit("school/burned", {})
        before = list(heard)
        await local.asettle()

        assert before == []
        assert heard == [
            ("school/opened", START),
            ("school/closed", START),
            ("school/burned", START),
            ("order/paid", START + timedelta(hours=1)),
        ]
        assert [name for name, _ in ran] == ["order/paid"]

    async def test_error(self, env: Environment, local: LocalInngest) -> None:
        """
        What a subscriber raises comes out of the settling, once.
        """

        async def hear(event: ReceivedEvent) -> None:
            raise ValueError(event.name)

        env.subscribe(hear)
        env.emit("order/paid", {})

        with pytest.raises(ValueError, match="order/paid"):
            await local.asettle()
        await local.asettle()

    async def test_answers(self, env: Environment, local: LocalInngest) -> None:
        """
        What a subscriber sends is heard in the same settling.
        """
        heard = []

        async def hear(event: ReceivedEvent) -> None:
            heard.append(event.name)
            if event.name == "ping":
                env.emit("pong", {})

        env.subscribe(hear)
        env.emit("ping", {})
        await local.asettle()

        assert heard == ["ping", "pong"]
