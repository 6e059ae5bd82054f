"""
A school as it is served in production, in FastAPI or in Flask: it runs what Inngest has signed, and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import fastapi
import flask
import httpx
import inngest
import inngest.fast_api
import inngest.flask
from sqlalchemy import event as sqlalchemy_events
from sqlmodel import select

import crossapp_ah as ah
from crossapp_ah.models import Entitlement
from crossapp_core import proofs
from crossapp_core.events import Event
from crossapp_core.testing import Clock
from crossapp_core.testing.listener import Answer, Listener, Request
from tests.databases import Database
from tests.hosts import SchoolProduct, school_settings, shop_settings

SIGNING_KEY = "signkey-prod-00112233445566778899aabbccddeeff"
ORIGIN = "https://school.example"
FORGED = "https://evil.example"
FUNCTIONS = {"bundle/purchased": "handle-bundle-purchase", "entitlement/revoke": "handle-revocation"}

Headers: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Answered:
    """
    What the app has answered.
    """

    status: int
    body: bytes


@dataclass(frozen=True)
class Call:
    """
    A request of Inngest's, without its signature.
    """

    method: str
    params: Mapping[str, str]
    body: bytes

    def signed(self, at: object = None, *, key: str = SIGNING_KEY) -> Headers:
        """
        The signature that Inngest makes of it at a time, in Unix seconds; now if None.
        """
        moment = int(time.time()) if at is None else at
        secret = key.removeprefix("signkey-prod-").encode()
        signature = hmac.new(secret, self.body + str(moment).encode(), hashlib.sha256).hexdigest()
        return {"x-inngest-signature": f"t={moment}&s={signature}"}


Send: TypeAlias = Callable[[Call, Headers], Answered]


@dataclass
class Production:
    """
    The served school, and all that it told Inngest of itself.
    """

    database: Database
    clock: Clock
    registered: list[dict[str, Any]] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    """What its functions asked of its database."""
    send: Send = field(init=False, repr=False)

    def call(self, event: Event, *, id: str) -> Call:  # noqa: A002
        """
        The first call of the function that handles an event of the shop.
        """
        data = proofs.seal(event, settings=shop_settings(), target="ai-hero", id=id, now=self.clock())
        sent = {"id": id, "name": event.name, "data": data, "ts": 1}
        context = {"attempt": 0, "disable_immediate_execution": False, "run_id": "r1", "stack": {"stack": []}}
        body = {"ctx": context, "event": sent, "events": [sent], "steps": {}, "use_api": False}
        params = {"fnId": f"ai-hero-{FUNCTIONS[event.name]}", "stepId": "step"}
        return Call("POST", params, json.dumps(body, sort_keys=True, separators=(",", ":")).encode())

    async def ask(self, call: Call, headers: Headers) -> Answered:
        """
        Let a request arrive that names another host.
        """
        # in a thread, as a server of either kind has it
        return await asyncio.to_thread(self.send, call, headers)

    def rows(self) -> Sequence[dict[str, object]]:
        """
        All entitlements.
        """
        with self.database.session() as session:
            return [row.model_dump() for row in session.exec(select(Entitlement)).all()]


@asynccontextmanager
async def serving(framework: str, database: Database, clock: Clock) -> AsyncIterator[Production]:
    """
    Serve the school.
    """
    production = Production(database, clock)

    def register(request: Request) -> Answer:
        production.registered.append(json.loads(request.body))
        return Answer.json(200, {"ok": True})

    inngest_api = Listener(register)
    client = inngest.Inngest(
        app_id="ai-hero",
        api_base_url=inngest_api.url,
        event_api_base_url=inngest_api.url,
        event_key="own-key",
        is_production=True,
        signing_key=SIGNING_KEY,
    )
    engine = database.engine if framework == "flask" else database.async_engine()
    products = ah.TableProducts(SchoolProduct)
    bridge = ah.Bridge(client, engine, settings=school_settings(), products=products, clock=clock)
    production.send = (_flask if framework == "flask" else _fastapi)(client, bridge)
    with _noting(engine if framework == "flask" else engine.sync_engine, production.statements):  # type: ignore[union-attr]
        yield production
    inngest_api.close()
    await bridge.client.aclose()


def _flask(client: inngest.Inngest, bridge: ah.Bridge) -> Send:
    app = flask.Flask("school")
    inngest.flask.serve(app, client, bridge.functions, serve_origin=ORIGIN, enable_unauthed_sync=False)

    def send(call: Call, headers: Headers) -> Answered:
        response = app.test_client().open(
            "/api/inngest",
            base_url=FORGED,
            method=call.method,
            query_string=dict(call.params),
            data=call.body,
            headers=dict(headers),
        )
        return Answered(response.status_code, response.data)

    return send


def _fastapi(client: inngest.Inngest, bridge: ah.Bridge) -> Send:
    app = fastapi.FastAPI()
    inngest.fast_api.serve(app, client, bridge.functions, serve_origin=ORIGIN, enable_unauthed_sync=False)

    async def ask(call: Call, headers: Headers) -> Answered:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        async with httpx.AsyncClient(transport=transport, base_url=FORGED) as http:
            response = await http.request(
                call.method, "/api/inngest", params=dict(call.params), content=call.body, headers=raw
            )
        return Answered(response.status_code, response.content)

    return lambda call, headers: asyncio.run(ask(call, headers))


@contextmanager
def _noting(engine: object, statements: list[str]) -> Iterator[None]:
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    sqlalchemy_events.listen(engine, "before_cursor_execute", note)
    yield
    sqlalchemy_events.remove(engine, "before_cursor_execute", note)
