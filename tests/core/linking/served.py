"""
An app that links accounts, served to its Inngest, and peers that only send and receive.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import fastapi
import inngest
import inngest.fast_api
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from crossapp_core import CrossAppClient, Peer, Settings, proofs
from crossapp_core.events import Event
from crossapp_core.functions.handle_account_linked import handle_account_linked
from crossapp_core.link_runtime import linker_of
from crossapp_core.linking import Linking
from crossapp_core.ports import GITHUB_AND_DISCORD, SIGN_INS
from crossapp_core.runtime import Runtime
from crossapp_core.table_ports import TableAccounts, TableUsers
from crossapp_core.testing import Environment, LocalInngest, Run
from tests.core.linking.side import PEER, THIRD, US, Identity, Member, Side
from tests.databases import Database

T = TypeVar("T")

OWN_KEY, PEER_KEY, THIRD_KEY = "kEy-0f_the-sch00l", "kEy-0f_the-sh0p", "kEy-0f_the-third"
SECRET, THIRD_SECRET = "a secret of these two apps, for tests alone", "a secret of the third app and this one here"


class Plain(Runtime[None]):
    """
    A bridge with the functions on links and nothing else.
    """

    def __init__(
        self,
        client: inngest.Inngest,
        engine: Engine | AsyncEngine,
        *,
        settings: Settings,
        clock: Callable[[], datetime],
        **options: Any,
    ) -> None:
        super().__init__(client, engine, settings=settings, clock=clock)
        usual: dict[str, Any] = {
            "links": None,
            "tokens": None,
            "users": TableUsers(Member),
            "accounts": TableAccounts(Identity),
            "providers": GITHUB_AND_DISCORD,
            "may_auto_link": None,
        }
        sign_ins = options.pop("sign_ins", SIGN_INS)
        self.linking = Linking.of(self, linker_of(self, **{**usual, **options}), sign_ins=sign_ins)
        self.functions = [handle_account_linked(self.linking), *self.linking.functions]


class ServedSide(Side):
    """
    The app as it is deployed, and the Inngest environments of all.
    """

    def __init__(self, local: LocalInngest, database: Database, *, sketch: bool = False, **options: Any) -> None:
        self.local = local
        self.own = local.environment(US, keys=[OWN_KEY])
        self.peer = local.environment(PEER, keys=[PEER_KEY])
        self.third = local.environment(THIRD, keys=[THIRD_KEY])
        signing = "" if sketch else SECRET
        web_url = "https://shop.example"
        peers = [
            Peer(
                app_id=PEER, event_key=PEER_KEY, secret=signing, base_url=self.peer.url, sketch=sketch, web_url=web_url
            )
        ]
        if not sketch:
            peers += [Peer(app_id=THIRD, event_key=THIRD_KEY, secret=THIRD_SECRET, base_url=self.third.url)]
        self.settings = Settings(US, peers, dev=True)
        client = inngest.Inngest(
            app_id=US,
            is_production=False,
            event_key=OWN_KEY,
            api_base_url=self.own.url,
            event_api_base_url=self.own.url,
        )
        engine = options.pop("engine", None) or database.async_engine()
        self.bridge = Plain(client, engine, settings=self.settings, clock=local.clock, **options)
        super().__init__(database, self.bridge.linking.linker)
        self.bridge.client = CrossAppClient(
            self.settings,
            clock=local.clock,
            monotonic=lambda: local.clock().timestamp(),
            sleep=lambda seconds: local.clock.advance(timedelta(seconds=seconds)),
        )
        self._asgi = fastapi.FastAPI(lifespan=self.bridge.lifespan)
        self.told: list[str] = []
        """All that the app answered to its Inngest."""
        inngest.fast_api.serve(self._asgi, client, self.bridge.functions, serve_origin="https://school.example")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """
        Answer a call, and note the answer.
        """

        async def note(message: Any) -> None:
            self.told.append(bytes(message.get("body", b"")).decode())
            await send(message)

        await self._asgi(scope, receive, note)

    @property
    def linking(self) -> Linking:
        """
        What the app's pages use.
        """
        return self.bridge.linking

    def do(self, operation: Callable[..., T], *facts: object, now: datetime | None = None, **named: object) -> T:
        """
        Do any operation, now.
        """
        return super().do(operation, *facts, now=self.local.clock(), **named)

    async def open(self) -> None:
        """
        Register, as a deployment does.
        """
        await self.own.aregister(self)

    async def settle(self) -> None:
        """
        Let happen what is to happen.
        """
        await self.local.asettle()

    async def receive(self, event: Event, *, attempt: int = 0, secret: str = SECRET) -> None:
        """
        Let an event of a peer arrive, signed with that secret, and let happen what then happens.
        """
        source = event.source_app or ""
        settings = Settings(source, [Peer(app_id=US, event_key="key", secret=secret)], dev=True)
        id_ = event.event_id(attempt=attempt)
        self.own.emit(
            event.name, proofs.seal(event, settings=settings, target=US, id=id_, now=self.local.clock()), id=id_
        )
        await self.settle()

    async def emit(self, name: str, data: Mapping[str, object]) -> None:
        """
        Send an event to the app's own Inngest as anybody with its key may, and let happen what then happens.
        """
        self.own.emit(name, data)
        await self.settle()

    async def each_minute(self) -> Run:
        """
        A minute later, what is done each minute; its run.
        """
        self.local.clock.advance(timedelta(minutes=1))
        return await self.cron()

    async def cron(self) -> Run:
        """
        Do what is done each minute; its run.
        """
        self.own.run_cron("reconcile-cross-app")
        await self.settle()
        return self.runs("reconcile-cross-app")[-1]

    def runs(self, function_id: str) -> list[Run]:
        """
        The runs of a function.
        """
        return list(self.own.log.runs_of(function_id))

    def got(self, environment: Environment | None = None) -> list[tuple[str, Any]]:
        """
        What a peer was told, without repetitions: names, and versions where there are any.
        """
        log = (environment or self.peer).log
        return [(event.name, event.data.get("version")) for event in log.received if not event.duplicate]

    def everything(self) -> str:
        """
        All that anybody outside of the app's own event got to see, and all that the database holds of us.
        """
        seen = [event.data for env in (self.peer, self.third) for event in env.log.received]
        with self.database.engine.connect() as connection:
            for table in ("AccountLink", "AccountLinkToken"):
                quoted = connection.dialect.identifier_preparer.quote(table)
                seen += [dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {quoted}"))]
        return json.dumps([seen, self.told], default=str)
