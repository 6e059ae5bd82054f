from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crossapp_core.testing import LocalInngest
from crossapp_core.web import LinkRequest
from crossapp_tt import Bridge
from tests.web.flask_shop import create_app
from tests.web.sites import SCHOOL_URL, SHOP_URL, World, open_world, sign_in
from tests.web.test_flow import EXPLICIT, MIRRORED, start


@pytest.fixture
async def world(local: LocalInngest, tmp_path: Path) -> AsyncIterator[World]:
    """
    A shop that is a Flask app, and a school that is a FastAPI app, both with sync engines.
    """
    async with open_world(local, tmp_path, is_async=False) as world:
        assert isinstance(world.shop.bridge, Bridge)
        world.shop.asgi = create_app(world.shop.bridge)
        await world.shop.environment.aregister(world.shop.asgi)
        yield world


class TestFlask:
    async def test_starts(self, world: World) -> None:
        """
        Somebody starts in the Flask app, confirms in the other one, comes back, and is linked in both.
        """
        browser = await world.signed_in(shop="ada", school="ada-at-school")
        await start(browser, world.shop, "/account-link")
        await browser.submit("confirm")
        assert browser.url == f"{SHOP_URL}/account-link?account-link=linked"
        assert browser.now.status_code == 200
        await world.local.asettle()
        assert (world.shop.links(), world.school.links()) == ([EXPLICIT], [MIRRORED])

        await browser.go(f"{SHOP_URL}/account-link")
        await browser.submit()
        await world.local.asettle()
        assert (world.shop.links(), world.school.links()) == ([], [])

    async def test_confirms(self, world: World) -> None:
        """
        Somebody who started elsewhere confirms in the Flask app.
        """
        browser = await world.signed_in(school="ada-at-school")
        await start(browser, world.school, "/settings")
        assert browser.url == f"{SHOP_URL}/sign-in?next=/account-link/confirm"
        await sign_in(browser, SHOP_URL, "ada")
        await browser.go(f"{SHOP_URL}/account-link/confirm")
        await browser.submit("confirm")
        assert browser.url == f"{SCHOOL_URL}/settings?account-link=linked"
        await world.local.asettle()
        assert (world.shop.links(), world.school.links()) == ([EXPLICIT], [MIRRORED])

    async def test_refuses(self, world: World) -> None:
        """
        What the pages refuse is refused here, too: a form without their token, one that is too large, another method.
        """
        browser = await world.signed_in(shop="ada")
        await browser.go(f"{SHOP_URL}/account-link/confirm?token={await world.token(world.school, 'ada-at-school')}")
        page = browser.now
        assert (await browser.submit("confirm", csrf="")).status_code == 403
        browser.visited.append(page)
        assert (await browser.submit("confirm", more="x" * 65_536)).status_code == 413
        assert (await browser.ask("POST", f"{SHOP_URL}/account-link")).status_code == 405
        head = await browser.ask("HEAD", f"{SHOP_URL}/account-link")
        assert (head.status_code, head.content) == (200, b"")
        assert world.shop.links() == []


class TestPlainFunctions:
    def test_one_by_one(self, world: World) -> None:
        """
        Each step is a function of its own, for apps that want other routes.
        """
        shop = world.shop.bridge.link_pages(sign_in_url="https://id.example/in?app=shop", next_parameter="back")
        school = world.school.bridge.link_pages()
        url = shop.start_link_sync(LinkRequest("POST"), "ada").headers["Location"]
        taken = school.read_request_sync(LinkRequest("GET", url.partition("?")[2]), None)
        cookie = {"Cookie": taken.headers["Set-Cookie"].partition(";")[0]}
        assert taken.headers["Location"] == "/account-link/confirm"
        asked = school.read_request_sync(LinkRequest("GET", headers=cookie), "ada-at-school")
        assert asked.status == 200
        refused = school.confirm_sync(LinkRequest("POST", headers=cookie), "ada-at-school")
        assert refused.status == 403
        assert school.settings_sync(LinkRequest("GET"), "ada-at-school").status == 200
        assert school.unlink_sync(LinkRequest("POST"), "ada-at-school").status == 403
        assert school.respond_sync("/elsewhere", LinkRequest("GET"), None).status == 404
        sign_in = shop.settings_sync(LinkRequest("GET", "account-link=linked"), None).headers["Location"]
        assert sign_in == "https://id.example/in?app=shop&back=/account-link%3Faccount-link%3Dlinked"

    def test_nothing_of_a_person_in_a_repr(self) -> None:
        """
        Neither a token, nor a cookie, nor a form shows itself.
        """
        request = LinkRequest("POST", "token=secret", {"Cookie": "secret"}, b"secret")
        assert "secret" not in repr(request)
