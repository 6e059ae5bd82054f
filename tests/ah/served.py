"""
A school that is served to its Inngest, and a shop that only sends and receives.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias, cast

import fastapi
import inngest
import inngest.fast_api
from pydantic import SecretStr

import crossapp_ah as ah
from crossapp_core import CrossAppClient, Peer, Settings, proofs
from crossapp_core.events import EVENTS, Envelope, Event
from crossapp_core.testing import LocalInngest
from tests.ah.school import SHOP, School
from tests.databases import Database
from tests.hosts import SECRET, SchoolProduct

Scope: TypeAlias = MutableMapping[str, Any]

SCHOOL = "ai-hero"
SCHOOL_KEY, SHOP_KEY = "kEy-0f_the-sch00l", "kEy-0f_the-sh0p"


def settings(app_id: str, peer_id: str, *, secret: str = SECRET, url: str = "http://127.0.0.1:1") -> Settings:
    """
    The settings of an app with one peer.
    """
    key = SCHOOL_KEY if peer_id == SCHOOL else SHOP_KEY
    peer = Peer(app_id=peer_id, event_key=SecretStr(key), secret=SecretStr(secret), base_url=url)
    return Settings(app_id, [peer], dev=True)


class ServedSchool(School):
    """
    The school as it is deployed, and the Inngest environments of both apps.
    """

    def __init__(
        self, local: LocalInngest, database: Database, products: ah.Products | None = None, **options: Any
    ) -> None:
        self.local = local
        self.inngest = local.environment(SCHOOL, keys=[SCHOOL_KEY])
        self.shop = local.environment(SHOP, keys=[SHOP_KEY])
        own = settings(SCHOOL, SHOP, url=self.shop.url)
        client = inngest.Inngest(
            app_id=SCHOOL,
            is_production=False,
            event_key=SCHOOL_KEY,
            api_base_url=self.inngest.url,
            event_api_base_url=self.inngest.url,
        )
        self.bridge = ah.Bridge(
            client,
            database.async_engine(),
            settings=own,
            products=products or ah.TableProducts(SchoolProduct),
            clock=local.clock,
            **options,
        )
        super().__init__(database, self.bridge.host)
        self.bridge.client = CrossAppClient(
            own,
            clock=local.clock,
            monotonic=lambda: local.clock().timestamp(),
            sleep=lambda seconds: local.clock.advance(timedelta(seconds=seconds)),
        )
        self._seller = CrossAppClient(settings(SHOP, SCHOOL, url=self.inngest.url), clock=local.clock)
        self.told: list[str] = []
        """All that the app answered to its Inngest."""
        self._asgi = fastapi.FastAPI(lifespan=self.bridge.lifespan)
        inngest.fast_api.serve(self._asgi, client, self.bridge.functions, serve_origin="https://school.example")

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """
        Answer a call, and note the answer.
        """

        async def note(message: Scope) -> None:
            self.told.append(bytes(message.get("body", b"")).decode())
            await send(message)

        await self._asgi(scope, receive, note)

    async def open(self) -> None:
        """
        Register, as a deployment does.
        """
        await self.inngest.aregister(self)

    async def close(self) -> None:
        """
        Close all connections.
        """
        await self.bridge.client.aclose()
        await self._seller.aclose()

    async def hear(self, event: Event, *, attempt: int = 0) -> str:
        """
        Have the shop send an event over the network, and let happen what then happens; its id comes back.
        """
        await self.send(event, attempt=attempt)
        await self.local.asettle()
        return event.event_id(attempt=attempt)

    async def send(self, event: Event, *, attempt: int = 0) -> None:
        """
        Have the shop send an event over the network.
        """
        await self._seller.send_cross_app_event(SCHOOL, event, attempt=attempt)

    async def receive(self, name: str, data: dict[str, object], id_: str) -> None:
        """
        Let just that event arrive, whoever made it, and let happen what then happens.
        """
        self.inngest.emit(name, data, id=id_)
        await self.local.asettle()

    @property
    def answers(self) -> Sequence[tuple[str | None, Event]]:
        """
        What the shop's Inngest got, without repetitions: ids and events, whose signatures hold.
        """
        shop = settings(SHOP, SCHOOL)
        fresh = [event for event in self.shop.log.received if not event.duplicate]
        return [(event.id, proofs.read(EVENTS[event.name], cast("Envelope", event), settings=shop)) for event in fresh]
