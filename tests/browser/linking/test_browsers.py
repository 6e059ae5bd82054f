"""
What the browser keeps, sends and allows on the pages of account linking; and how they are used without a mouse.
"""

from __future__ import annotations

import time

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.async_api import Cookie, Locator, Page, expect

from examples.two_apps.granter.sample import PASSWORD
from examples.two_apps.serving import free_port, on_port
from tests.browser.linking.people import App, World
from tests.browser.linking.visitors import LINK, NOT_ME, QUESTION, Visitor

pytestmark = pytest.mark.xdist_group("browser")  # so that one worker starts one browser


class TestToken:
    async def test_leaves_the_url_at_once(self, somebody: Visitor, world: World) -> None:
        """
        The token is in one request of the whole flow; no address bar, no page, no Referer and no cookie ever has it.
        """
        ada = world.buyer()
        await somebody.asked(world.shop, ada)
        [token] = somebody.tokens()
        assert token not in await somebody.page.content()
        cookies = await somebody.context.cookies([world.shop.url, f"{world.school.url}/account-link"])
        assert all(token not in cookie.get("value", "") for cookie in cookies)
        await somebody.press(LINK)
        await world.settle()
        assert world.are_linked(ada)
        assert somebody.tokens() == [token]
        assert f"{world.school.url}/account-link/confirm" in somebody.addresses
        assert not [address for address in somebody.addresses if "token" in address]
        assert not [referer for referer in await somebody.referers() if "token" in referer]

    async def test_pages_are_no_referer(self, somebody: Visitor, world: World) -> None:
        """
        No request names one of our pages as the one that it comes from, though it does name others.
        """
        ada = world.buyer()
        await somebody.link(world.shop, ada)
        await somebody.open(f"{world.school.url}/account-link/confirm")
        await somebody.follow("Back to Total TypeScript")
        referers = await somebody.referers()
        assert f"{world.school.url}/sign-in" in referers
        assert not [referer for referer in referers if "account-link" in referer]

    async def test_cookie(self, somebody: Visitor, world: World) -> None:
        """
        What is to be confirmed is in a cookie for ten minutes, which no script and no other path sees; then it is gone.
        """
        ada = world.buyer()
        await somebody.asked(world.shop, ada)
        cookie = await _ticket(somebody, world.school)
        assert cookie is not None
        kept = cookie.get("name"), cookie.get("httpOnly"), cookie.get("sameSite"), cookie.get("path")
        assert kept == (world.school.cookie, True, "Lax", "/account-link")
        assert 500 < cookie.get("expires", 0) - time.time() <= 600
        assert await somebody.page.evaluate("document.cookie") == ""
        await somebody.press(NOT_ME)
        assert await _ticket(somebody, world.school) is None


class TestFrames:
    @pytest.mark.parametrize("path", ["/account-link", "/account-link/confirm", "/account-link/confirm?token=x"])
    async def test_other_site(self, somebody: Visitor, world: World, path: str) -> None:
        """
        A page of another site that puts one of ours into a frame shows nothing of it, whoever is signed in.
        """
        await somebody.asked(world.shop, world.buyer())
        with free_port() as (listening, elsewhere):
            async with on_port(framing(world.school.url + path), listening):
                await somebody.open(elsewhere)
                [_, frame] = somebody.page.frames
                assert frame.url == "chrome-error://chromewebdata/"
                assert "account" not in await frame.locator("body").inner_text()
        assert any("frame-ancestors 'none'" in said for said in somebody.complaints)
        somebody.complaints.clear()

    async def test_page_that_may_be_framed(self, somebody: Visitor) -> None:
        """
        The same other site does show a page that doesn't forbid it.
        """
        with free_port() as (listening, elsewhere):
            async with on_port(framing("/framed"), listening):
                await somebody.open(elsewhere)
                [_, frame] = somebody.page.frames
                assert await frame.locator("body").inner_text() == "an account"


class TestKeyboard:
    async def test_link_and_unlink(self, somebody: Visitor, world: World) -> None:
        """
        Tab and Enter are enough to link and to unlink, and each button shows that it has the focus.
        """
        ada = world.buyer()
        page = somebody.page
        await somebody.sign_in(world.shop, ada)
        await somebody.open(f"{world.shop.url}/account-link")
        await _tab_to(page, page.get_by_role("button", name="Link AI Hero"), presses=1)
        await page.keyboard.press("Enter")
        await somebody.sees("Sign in")
        await _tab_to(page, page.get_by_label("E-mail address"), presses=3)
        await page.keyboard.type(ada.school_email)
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await somebody.sees(QUESTION)
        await _tab_to(page, page.get_by_role("button", name=LINK), presses=1)
        await somebody.shows("confirm-focus")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name=NOT_ME)).to_be_focused()
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Enter")
        await somebody.reads("The accounts are linked now.")
        await world.settle()
        assert world.are_linked(ada)
        await page.reload()
        await _tab_to(page, page.get_by_role("button", name="Unlink AI Hero"), presses=1)
        await page.keyboard.press("Enter")
        await somebody.reads("The accounts are not linked any more.")
        await world.settle()
        assert not world.are_linked(ada)

    async def test_way_on(self, somebody: Visitor, world: World) -> None:
        """
        The way on from a page that refuses is the first thing to come to.
        """
        await somebody.open(f"{world.school.url}/account-link/confirm?token=x")
        back = somebody.page.get_by_role("link", name="Back to Total TypeScript")
        await _tab_to(somebody.page, back, presses=1)
        await somebody.page.keyboard.press("Enter")
        await somebody.sees("For sale")


class TestReading:
    async def test_what_is_told(self, somebody: Visitor, world: World) -> None:
        """
        Names, headings and states are there for those who don't see the page.
        """
        ada = world.buyer()
        await somebody.asked(world.shop, ada)
        snapshot = await somebody.page.get_by_role("main").aria_snapshot()
        assert '- heading "Are both accounts yours?" [level=1]' in snapshot
        assert '- form "Link the two accounts":' in snapshot
        assert await somebody.page.title() == "Link your accounts · AI Hero"
        await somebody.press(LINK)
        await expect(somebody.page.get_by_role("status")).to_have_text("The accounts are linked now.")
        await expect(somebody.page.get_by_role("region", name="AI Hero")).to_be_visible()
        assert await somebody.page.title() == "Linked accounts · Total TypeScript"


def framing(url: str) -> FastAPI:
    """
    Another site, whose page has a frame.
    """
    app = FastAPI()
    head = '<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">'
    app.get("/")(lambda: HTMLResponse(f'{head}<iframe src="{url}"></iframe>'))
    app.get("/framed")(lambda: HTMLResponse(f"{head}<p>an account"))
    return app


async def _ticket(somebody: Visitor, app: App) -> Cookie | None:
    cookies = await somebody.context.cookies(f"{app.url}/account-link")
    return next((cookie for cookie in cookies if cookie.get("name") == app.cookie), None)


async def _tab_to(page: Page, target: Locator, *, presses: int) -> None:
    for _ in range(presses):
        await page.keyboard.press("Tab")
    await expect(target).to_be_focused()
    style, width = await target.evaluate(
        "element => [getComputedStyle(element).outlineStyle, parseFloat(getComputedStyle(element).outlineWidth)]"
    )
    assert style != "none"
    assert width >= 1
