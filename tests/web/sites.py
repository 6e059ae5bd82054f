"""
A shop and a school with people, who sign in to each, and their pages of account linking.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, urlencode

import fastapi
import flask
import httpx
import inngest
import inngest.fast_api
from fastapi import Cookie, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Field, SQLModel, col, select

import crossapp_ah as ah
import crossapp_tt as tt
from crossapp_ah.models import Entitlement
from crossapp_core import CrossAppClient, Peer, Settings
from crossapp_core.models import AccountLink, AccountLinkToken
from crossapp_core.table_ports import TableUsers
from crossapp_core.testing import LocalInngest
from crossapp_tt.models import CrossAppSync
from tests.databases import Database, open_database
from tests.hosts import SECRET, SchoolProduct, shop_purchases
from tests.web.browser import Browser, FromWsgi

SHOP, SCHOOL = "total-typescript", "ai-hero"
SHOP_URL, SCHOOL_URL = "http://shop.example", "http://school.example"
CONFIRM, INITIATE = f"{SCHOOL_URL}/account-link/confirm", f"{SHOP_URL}/api/account-link/initiate"
"""Where the school asks, and where the shop starts."""
NAMES = {SHOP: "Total TypeScript", SCHOOL: "AI Hero"}
TABLES = (AccountLink, AccountLinkToken, CrossAppSync, Entitlement)
"""All that the two need, so that they are made."""


class ShopUser(SQLModel, table=True):
    """
    Somebody with an account at the shop.
    """

    __tablename__ = "web_shop_user"

    id: str = Field(primary_key=True, max_length=64)
    email: str | None = Field(default=None, max_length=254)
    email_verified: bool = True
    name: str | None = None


class SchoolUser(SQLModel, table=True):
    """
    Somebody with an account at the school.
    """

    __tablename__ = "web_school_user"

    id: str = Field(primary_key=True, max_length=64)
    email: str | None = Field(default=None, max_length=254)
    email_verified: bool = True
    name: str | None = None


def peer_of(app_id: str, inngest_url: str = "http://127.0.0.1:1", /, **changed: Any) -> Peer:
    """
    One of the two, as the other has it in its settings.
    """
    usual: dict[str, Any] = {
        "app_id": app_id,
        "event_key": f"key-of-{app_id}",
        "secret": SECRET,
        "base_url": inngest_url,
        "display_name": NAMES[app_id],
        "web_url": SHOP_URL if app_id == SHOP else SCHOOL_URL,
    }
    return Peer(**{**usual, **changed})


def sign_in_routes(app: fastapi.FastAPI) -> None:
    """
    Give an app a sign-in page that believes everybody.
    """

    async def show(next: str = "/") -> Response:  # noqa: A002
        content = f'<h1>Sign in</h1><form method="post" action="/sign-in?{urlencode({"next": next})}"></form>'
        return Response(content, media_type="text/html")

    async def take(request: Request, next: str = "/") -> Response:  # noqa: A002
        [user] = parse_qs((await request.body()).decode())["user"]
        answer = RedirectResponse(next, status_code=303)
        answer.set_cookie("session", user, httponly=True, samesite="lax")
        return answer

    async def home() -> Response:
        return Response("<h1>Home</h1>", media_type="text/html")

    app.add_api_route("/sign-in", show, methods=["GET"])
    app.add_api_route("/sign-in", take, methods=["POST"])
    app.add_api_route("/", home, methods=["GET"])
    app.add_api_route("/settings", home, methods=["GET"])


def current_user(session: Annotated[str | None, Cookie()] = None) -> str | None:
    """
    Who is signed in.
    """
    return session


class Site:
    """
    One of the two apps.
    """

    def __init__(self, app_id: str, local: LocalInngest, database: Database, engine: Engine | AsyncEngine) -> None:
        self.app_id = app_id
        self.url = SHOP_URL if app_id == SHOP else SCHOOL_URL
        self.database = database
        self.engine = engine
        self.environment = local.environment(app_id)
        self.local = local

    bridge: tt.Bridge | ah.Bridge
    asgi: Any

    def build(self, peers: Sequence[Peer], *, dev: bool = True, user: Callable[..., Any] = current_user) -> None:
        """
        Make the app.
        """
        settings = Settings(self.app_id, peers, display_name=NAMES[self.app_id], dev=dev)
        client = inngest.Inngest(
            app_id=self.app_id,
            is_production=False,
            api_base_url=self.environment.url,
            event_api_base_url=self.environment.url,
        )
        self.bridge = _bridge(client, self.engine, settings, self.local.clock)
        self.bridge.client = CrossAppClient(settings, clock=self.local.clock)
        self.asgi = fastapi.FastAPI(lifespan=self.bridge.lifespan)
        inngest.fast_api.serve(self.asgi, client, self.bridge.functions, serve_origin=self.url)
        sign_in_routes(self.asgi)
        self.asgi.include_router(self.bridge.router(user))

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """
        How a browser asks it.
        """
        return Deployed(self)

    def add(self, id: str, email: str | None = None, **more: Any) -> None:  # noqa: A002
        """
        Give somebody an account.
        """
        kind = ShopUser if self.app_id == SHOP else SchoolUser
        with self.database.session() as session:
            session.add(kind(id=id, email=email, **more))

    def delete(self, id: str) -> None:  # noqa: A002
        """
        Delete somebody's account.
        """
        kind = ShopUser if self.app_id == SHOP else SchoolUser
        with self.database.session() as session:
            session.delete(session.get_one(kind, id))

    def links(self) -> list[tuple[str, str, str]]:
        """
        The links that stand: the user here, the user there, and how they were linked.
        """
        with self.database.session() as session:
            rows = session.exec(select(AccountLink).where(col(AccountLink.active) == 1)).all()
        return sorted((row.user_id, row.linked_user_id, row.link_method) for row in rows)

    def used(self) -> int:
        """
        How many tokens were used.
        """
        with self.database.session() as session:
            return len(session.exec(select(AccountLinkToken)).all())

    async def close(self) -> None:
        """
        Close all connections.
        """
        await self.bridge.client.aclose()
        if isinstance(self.engine, AsyncEngine):
            await self.engine.dispose()


class Deployed(httpx.AsyncBaseTransport):
    """
    Asks whatever is deployed at a site now.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Ask it.
        """
        app = self._site.asgi
        transport = FromWsgi(app) if isinstance(app, flask.Flask) else httpx.ASGITransport(app)
        return await transport.handle_async_request(request)


class World:
    """
    Both apps, and the people.
    """

    def __init__(self, local: LocalInngest, shop: Site, school: Site) -> None:
        self.local = local
        self.shop = shop
        self.school = school
        self._browsers: list[Browser] = []

    def site(self, app_id: str) -> Site:
        """
        One of the two.
        """
        return self.shop if app_id == SHOP else self.school

    def browser(self) -> Browser:
        """
        The browser of somebody who hasn't been anywhere.
        """
        browser = Browser({site.url: site.transport for site in (self.shop, self.school)})
        self._browsers.append(browser)
        return browser

    async def signed_in(self, **users: str) -> Browser:
        """
        The browser of somebody who is signed in, `shop="ada"`.
        """
        browser = self.browser()
        for name, user in users.items():
            await sign_in(browser, getattr(self, name).url, user)
        return browser

    async def token(self, origin: Site, user: str = "ada", **options: Any) -> str:
        """
        A token, as *origin* gives it to a user of its own.
        """
        target = SCHOOL if origin is self.shop else SHOP
        url = await origin.bridge.linking.start(user, target, **options)
        return parse_qs(url.partition("?")[2])["token"][0]

    async def asked(self, shop: str = "ada", school: str = "ada-at-school", **options: Any) -> Browser:
        """
        The browser of a shop's user who is signed in to the school, and asked there.
        """
        browser = await self.signed_in(school=school)
        await browser.go(f"{CONFIRM}?token={await self.token(self.shop, shop, **options)}")
        return browser

    async def link(self, shop: str = "ada", school: str = "ada-at-school") -> None:
        """
        Link two accounts, as both apps then know.
        """
        browser = await self.asked(shop, school)
        await browser.submit("confirm")
        await self.local.asettle()

    async def close(self) -> None:
        """
        Close all.
        """
        for browser in self._browsers:
            await browser.close()
        for site in (self.shop, self.school):
            await site.close()


async def sign_in(browser: Browser, url: str, user: str) -> None:
    """
    Sign in to an app.
    """
    await browser.ask("POST", f"{url}/sign-in", data={"user": user}, follow=False)


@asynccontextmanager
async def open_world(local: LocalInngest, folder: Path, *, is_async: bool = True) -> AsyncIterator[World]:
    """
    Make both apps, with Ada, who has an account in each, and Bob.
    """
    with open_database("sqlite", folder, "shop") as ours, open_database("sqlite", folder, "school") as theirs:
        sites = [
            Site(app_id, local, database, database.async_engine() if is_async else database.engine)
            for app_id, database in ((SHOP, ours), (SCHOOL, theirs))
        ]
        world = World(local, *sites)
        for site, other in zip(sites, reversed(sites), strict=True):
            site.build([peer_of(other.app_id, other.environment.url)])
            await site.environment.aregister(site.asgi)
        world.shop.add("ada", "ada@shop.example")
        world.shop.add("bob", "bob@shop.example")
        world.school.add("ada-at-school", "ada@school.example")
        world.school.add("bob-at-school", "bob@school.example")
        yield world
        await world.close()


def _bridge(client: inngest.Inngest, engine: Any, settings: Settings, clock: Any) -> tt.Bridge | ah.Bridge:
    if settings.app_id == SHOP:
        return tt.Bridge(
            client,
            engine,
            settings=settings,
            purchases=shop_purchases(),
            bundles={},
            users=TableUsers(ShopUser),
            clock=clock,
        )
    return ah.Bridge(
        client,
        engine,
        settings=settings,
        products=ah.TableProducts(SchoolProduct),
        users=TableUsers(SchoolUser),
        clock=clock,
    )
