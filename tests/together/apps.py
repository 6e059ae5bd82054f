"""
A shop and a school as their users deploy them: FastAPI apps with a bridge, a database and an Inngest environment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import fastapi
import inngest
import inngest.fast_api
from pydantic import SecretStr
from sqlalchemy import event as sqlalchemy_events
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import select

import crossapp_ah as ah
import crossapp_tt as tt
from crossapp_ah.models import Entitlement
from crossapp_core import CrossAppClient, Peer, Settings, proofs
from crossapp_core.events import Event
from crossapp_core.models import AccountLink
from crossapp_core.ports import Problem
from crossapp_core.testing import Clock, Environment, Run
from crossapp_tt.models import CrossAppSync
from tests.databases import Database
from tests.hosts import NOW, SECRET, SchoolProduct, ShopProduct, ShopPurchase, shop_purchases
from tests.together.network import Network

SELLER, GRANTER, OTHER = "total-typescript", "ai-hero", "epic-web"
SHOP_KEY, SCHOOL_KEY, OTHER_KEY = "kEy-0f_the-sh0p", "kEy-0f_the-sch00l", "kEy-0f_the-0ther"
OTHER_SECRET = "a secret of the shop and the other school"

BUNDLE_SOLD, GRANTED = "bundle/purchased", "entitlement/granted"
REVOKE, REVOKED, FAILED = "entitlement/revoke", "entitlement/revoked", "entitlement/failed"

Scope: TypeAlias = MutableMapping[str, Any]


def metadata(*products: str | tuple[str, str]) -> str:
    """
    The metadata of a bundle in Stripe: products of the granter, or pairs of app and product.
    """
    pairs = [(GRANTER, product) if isinstance(product, str) else product for product in products]
    components = [{"app": app, "productId": product} for app, product in pairs]
    return json.dumps({"bundleProducts": json.dumps(components)})


def peer(app_id: str, url: str, key: str, secret: str = SECRET) -> Peer:
    """
    The settings of a peer whose Inngest is at *url*.
    """
    return Peer(app_id=app_id, event_key=SecretStr(key), secret=SecretStr(secret), base_url=url)


class App:
    """
    A deployed app: what its Inngest calls, and what it answers there.
    """

    def __init__(self, environment: Environment, database: Database, clock: Clock) -> None:
        self.environment = environment
        self.database = database
        self.clock = clock
        self.network = Network()
        self.reported: list[str] = []
        """Each error that the app told its Inngest, as JSON."""
        self.problems: list[Problem] = []
        """All that the app was told by the library."""
        self.inngest = self.client()
        self.asgi = fastapi.FastAPI()

    bridge: tt.Bridge | ah.Bridge

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """
        Hand a call on to what is deployed now, and note the errors that it answers.
        """

        async def note(message: Scope) -> None:
            if message["type"] == "http.response.body":
                self.reported += _errors_in(message.get("body") or b"null")
            await send(message)

        await self.asgi(scope, receive, note)

    def client(self) -> inngest.Inngest:
        """
        Another client, as each process of an app has one of its own.
        """
        return inngest.Inngest(
            app_id=self.environment.name,
            is_production=False,
            api_base_url=self.environment.url,
            event_api_base_url=self.environment.url,
        )

    async def deploy(self, bridge: tt.Bridge | ah.Bridge) -> None:
        """
        Put *bridge* in place of what was deployed, its clients pausing on the clock.
        """
        bridge.client = CrossAppClient(
            bridge.settings,
            clock=self.clock,
            monotonic=lambda: self.clock().timestamp(),
            sleep=lambda seconds: self.clock.advance(timedelta(seconds=seconds)),
            jitter=lambda _, longest: longest,
            transport=self.network,
        )
        self.asgi = fastapi.FastAPI(lifespan=bridge.lifespan)
        inngest.fast_api.serve(self.asgi, self.inngest, bridge.functions, serve_origin="https://app.example")
        await self.environment.aregister(self)

    async def undeploy(self) -> None:
        """
        Put an app in its place that has none of our functions, so that its Inngest takes events and runs nothing.
        """

        async def nothing(context: inngest.Context) -> None:
            pass

        trigger = inngest.TriggerEvent(event="other/event")
        self.asgi = fastapi.FastAPI()
        functions = [self.inngest.create_function(fn_id="other", trigger=trigger)(nothing)]
        inngest.fast_api.serve(self.asgi, self.inngest, functions, serve_origin="https://app.example")
        await self.environment.aregister(self)

    @property
    def runs(self) -> list[Run]:
        """
        What ran in the app's environment.
        """
        return self.environment.log.runs

    def run(self, function_id: str) -> Run:
        """
        The only run of a function.
        """
        [run] = self.environment.log.runs_of(function_id)
        return run

    def got(self, name: str) -> list[Mapping[str, object]]:
        """
        The data of the events of that name that came, without repetitions.
        """
        return [event.data for event in self.environment.log.events(name) if not event.duplicate]

    def repeat(self, name: str) -> None:
        """
        Let the events of that name that came over the network come once more, just as they were.
        """
        for event in [event for event in self.environment.log.events(name) if event.key]:
            self.environment.emit(event.name, event.data, id=event.id)

    @contextmanager
    def counting(self) -> Iterator[list[str]]:
        """
        The statements that the app's functions give to its database.
        """
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            statements.append(statement)

        engine = self.bridge.database.engine
        listened = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
        sqlalchemy_events.listen(listened, "before_cursor_execute", note)
        yield statements
        sqlalchemy_events.remove(listened, "before_cursor_execute", note)

    def receive(self, event: Event, *, id: str, settings: Settings, target: str) -> None:  # noqa: A002
        """
        Let an event arrive that the app with those settings has signed for *target*.
        """
        sealed = proofs.seal(event, settings=settings, target=target, id=id, now=self.clock())
        self.environment.emit(event.name, sealed, id=id)


class Shop(App):
    """
    The seller.
    """

    bridge: tt.Bridge

    async def open(self, settings: Settings, **options: Any) -> None:
        """
        Deploy the shop, with those options of the bridge in place of the usual.
        """
        usual: dict[str, Any] = {
            "purchases": shop_purchases(),
            "bundles": tt.StripeMetadata(ShopProduct.stripe_metadata),
            "clock": self.clock,
            "on_problem": self.problems.append,
        }
        engine = options.pop("engine", None) or self.database.async_engine()
        self.inngest = self.client()
        self.bridge = tt.Bridge(self.inngest, engine, settings=settings, **{**usual, **options})
        await self.deploy(self.bridge)

    def offer(self, product: str, stripe_metadata: str | None) -> None:
        """
        Write down what a product is.
        """
        with self.database.session() as session:
            session.merge(ShopProduct(id=product, stripe_metadata=stripe_metadata))

    def sell(self, purchase: str, *, product: str = "bundle", **fields: Any) -> None:
        """
        Write down a sale, of which nobody knows yet.
        """
        with self.database.session() as session:
            session.add(ShopPurchase(id=purchase, product_id=product, **fields))

    def change(self, purchase: str, **fields: Any) -> None:
        """
        Change a sale, of which nobody knows yet.
        """
        with self.database.session() as session:
            row = session.get_one(ShopPurchase, purchase)
            for name, value in fields.items():
                setattr(row, name, value)

    def created(self, purchase: str, *, id: str | None = None) -> None:  # noqa: A002
        """
        Tell of a sale, as the app does.
        """
        self.environment.emit("purchase/created", {"purchaseId": purchase}, id=id)

    def refunded(self, purchase: str, *, id: str | None = None) -> None:  # noqa: A002
        """
        Tell of a refund, as the app does.
        """
        self.environment.emit("purchase/refunded", {"purchaseId": purchase}, id=id)

    def ledger(self) -> Sequence[CrossAppSync]:
        """
        All rows.
        """
        with self.database.session() as session:
            return session.exec(
                select(CrossAppSync).order_by(
                    CrossAppSync.purchase_id, CrossAppSync.target_app, CrossAppSync.target_product_id
                )
            ).all()

    def row(self) -> CrossAppSync:
        """
        The only row.
        """
        [row] = self.ledger()
        return row


class School(App):
    """
    The granter.
    """

    bridge: ah.Bridge

    async def open(self, settings: Settings, **options: Any) -> None:
        """
        Deploy the school, with those options of the bridge in place of the usual.
        """
        usual: dict[str, Any] = {
            "products": ah.TableProducts(SchoolProduct),
            "clock": self.clock,
            "on_problem": self.problems.append,
        }
        engine = options.pop("engine", None) or self.database.async_engine()
        self.inngest = self.client()
        self.bridge = ah.Bridge(self.inngest, engine, settings=settings, **{**usual, **options})
        await self.deploy(self.bridge)

    def teach(self, *products: str) -> None:
        """
        Write down products.
        """
        with self.database.session() as session:
            session.add_all([SchoolProduct(id=product) for product in products])

    def link(self, user: str, buyer: str) -> None:
        """
        Write down that *user* here is *buyer* at the shop.
        """
        link = AccountLink(
            id=f"link-{user}",
            user_id=user,
            linked_app=SELLER,
            linked_user_id=buyer,
            link_method="explicit",
            linked_at=NOW,
            version=3,
        )
        with self.database.session() as session:
            session.add(link)

    def entitlements(self) -> Sequence[Entitlement]:
        """
        All rows.
        """
        with self.database.session() as session:
            return session.exec(
                select(Entitlement).order_by(Entitlement.source_purchase_id, Entitlement.product_id)  # type: ignore[arg-type]
            ).all()

    def entitlement(self) -> Entitlement:
        """
        The only row.
        """
        [row] = self.entitlements()
        return row

    def opens(self, user: str, product: str = "course") -> bool:
        """
        Whether the user has access.
        """
        with self.database.session() as session:
            return ah.has_access(session, user, product)


def _errors_in(body: bytes) -> Iterable[str]:
    content = json.loads(body)
    for item in content if isinstance(content, list) else [content]:
        match item:
            case {"error": dict(error)}:
                yield json.dumps(error)
            case {"stack": _, "message": _}:
                yield json.dumps(item)
