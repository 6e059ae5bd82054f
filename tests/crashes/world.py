"""
Both example apps as processes on two databases of one server, and an Inngest for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import httpx
from sqlalchemy import Engine, NullPool, create_engine, inspect, text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from crossapp_core.testing import LocalInngest
from examples.two_apps import stripe_events
from examples.two_apps.together import FASTAPI_SCHOOL, FASTAPI_SHOP, Place, variables
from tests.crashes.deaths import Fate
from tests.crashes.deployed import Deployed
from tests.crashes.page import SharedClock
from tests.crashes.processes import Zygote
from tests.crashes.worker import BACKFILL
from tests.databases import server_database

_TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_OTHERS = "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
_MOST_TRIES = 100


@dataclass
class World:
    """
    Both apps, running.
    """

    clock: SharedClock
    inngests: Sequence[LocalInngest]
    shop: Deployed
    school: Deployed
    operator: Deployed
    databases: dict[str, Engine] = field(repr=False)

    @property
    def apps(self) -> tuple[Deployed, Deployed]:
        """
        Both.
        """
        return self.shop, self.school

    @contextmanager
    def session(self, app: str) -> Iterator[Session]:
        """
        A transaction of somebody else on the database of an app.
        """
        with Session(self.databases[app], expire_on_commit=False) as session, session.begin():
            yield session

    def doom(self, fate: Fate | None) -> None:
        """
        Have processes of both die by that *fate*, or live from now on.
        """
        for app in self.apps:
            app.doom(fate)

    async def start(self) -> None:
        """
        Start both, and have each register at its Inngest.
        """
        for app in self.apps:
            app.start()
        for app in self.apps:
            async with httpx.AsyncClient(base_url=app.origin, trust_env=False, timeout=60) as client:
                (await client.put("/api/inngest")).raise_for_status()

    async def stripe(self, event: dict[str, object]) -> None:
        """
        Deliver an event of Stripe to the shop, again and again until it is taken.
        """
        for _ in range(_MOST_TRIES):
            signed = stripe_events.request(event, self.shop.environ["STRIPE_WEBHOOK_SECRET"])
            try:
                async with httpx.AsyncClient(base_url=self.shop.origin, trust_env=False, timeout=60) as client:
                    if (await client.post(stripe_events.PATH, **signed)).is_success:
                        return
            except httpx.TransportError:
                pass  # it has died
        raise AssertionError(f"the shop doesn't take {event['type']}")

    async def settle(self) -> None:
        """
        Let both Inngests do all that is to be done, at the same time.
        """
        before = -1
        while before != (before := self._events()):
            await asyncio.gather(*(inngest.asettle() for inngest in self.inngests))

    async def tick(self, by: timedelta, *, sweep: bool = False) -> None:
        """
        Let time go by, and what has a timetable run.
        """
        self.clock.advance(by)
        for app in self.apps:
            app.environment.run_cron("reconcile-cross-app")
        if sweep:
            self.shop.environment.run_cron("sweep-purchases")
        await self.settle()

    def _events(self) -> int:
        logs = [app.environment.log for app in self.apps]
        return sum(len(log.received) + len(log.internal) for log in logs)


@asynccontextmanager
async def running(server: str, zygote: Zygote) -> AsyncIterator[World]:
    """
    Both apps on empty databases of that server.
    """
    clock = SharedClock()
    async with AsyncExitStack() as stack:
        inngests = [stack.enter_context(LocalInngest(clock=clock)) for _ in range(2)]
        engines, apps = {}, []
        for name, inngest in zip(("shop", "school"), inngests, strict=True):
            engine = engines[name] = stack.enter_context(_emptied(server, name))
            app = Deployed(name, zygote, inngest.environment(name), clock=clock, cut=partial(cut, engine))
            apps.append(await stack.enter_async_context(app))
        places = [
            Place(app.origin, made_of.url(engines[app.name].url), app.environment.url)
            for app, made_of in zip(apps, (FASTAPI_SHOP, FASTAPI_SCHOOL), strict=True)
        ]
        for app, environ in zip(apps, variables(*places), strict=True):
            app.environ = environ
        operator = Deployed(BACKFILL, zygote, apps[0].environment, clock=clock, cut=partial(cut, engines["shop"]))
        operator.environ = apps[0].environ
        await stack.enter_async_context(operator)
        yield World(clock, inngests, apps[0], apps[1], operator, engines)


def cut(engine: Engine) -> None:
    """
    Have the server hang up on all that are connected to a database.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(_TERMINATE))
            return
        for other in connection.execute(text(_OTHERS)).scalars().all():
            with suppress(OperationalError):  # it has gone by itself
                connection.execute(text(f"KILL {other}"))


@contextmanager
def _emptied(server: str, suffix: str) -> Iterator[Engine]:
    engine = create_engine(server_database(server, f"_{suffix}"), poolclass=NullPool)
    drop_all(engine)
    yield engine
    engine.dispose()


def drop_all(engine: Engine) -> None:
    """
    Drop all tables of a database.
    """
    names = [engine.dialect.identifier_preparer.quote(name) for name in inspect(engine).get_table_names()]
    if not names:
        return
    with engine.begin() as connection:
        if engine.dialect.name == "mysql":
            connection.execute(text("SET FOREIGN_KEY_CHECKS = 0"))
        connection.execute(text(f"DROP TABLE {', '.join(names)} CASCADE"))
