"""
Somebody at a browser, who sees both example apps as a person does: through headings, fields, links and buttons.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    ViewportSize,
    expect,
)

from examples.two_apps.granter.sample import PASSWORD
from tests.browser.browsers import WIDE, picture
from tests.browser.linking.people import App, Buyer, World

LINK, KEEP, NOT_ME = "Link these accounts", "Keep them linked", "Not me, cancel"
"""The buttons of the page that asks."""
QUESTION = "Are both accounts yours?"
SMALLEST_TARGET = 24
"""CSS pixels, by WCAG 2.2, 2.5.8."""

# what a screen reader has to know, and a finger to hit
_FLAWS = """smallest => {
    const flaws = [], all = selector => [...document.querySelectorAll(selector)];
    const name = element => element.getAttribute("aria-label") || element.textContent.trim();
    if (document.documentElement.lang !== "en") flaws.push("no language");
    if (!document.title.includes(" · ")) flaws.push("no title");
    if (all("h1").length !== 1) flaws.push(all("h1").length + " first headings");
    if (all("main").length !== 1) flaws.push(all("main").length + " main parts");
    for (const field of all("input:not([type=hidden])"))
        if (!field.labels.length) flaws.push("no label: " + field.name);
    for (const target of all("a, button")) {
        const {width, height} = target.getBoundingClientRect();
        const inText = target.tagName === "A" && getComputedStyle(target).display === "inline";
        if (!name(target)) flaws.push("no name: " + target.outerHTML);
        if (!inText && Math.min(width, height) < smallest) flaws.push("too small: " + name(target));
    }
    const ids = all("[id]").map(element => element.id);
    if (new Set(ids).size !== ids.length) flaws.push("an id twice");
    return flaws;
}"""


class Visitor:
    """
    A person at a browser; all that it asks for, and all that it has to complain about, is noted.
    """

    def __init__(self, context: BrowserContext, page: Page, world: World) -> None:
        self.context = context
        self.page = page
        self.world = world
        self.requests: list[Request] = []
        self.addresses: list[str] = []
        """What stood in the address bar."""
        self.complaints: list[str] = []
        self._refusals: set[str] = set()
        context.on("request", lambda request: self.requests.append(request))
        context.on("response", self._note_refusal)
        context.on("requestfailed", lambda request: self.complaints.append(f"{request.url}: {request.failure}"))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("console", self._note)
        page.on("framenavigated", lambda frame: self.addresses.append(frame.url))

    async def tab(self) -> Visitor:
        """
        The same person at another tab; the browser's complaints are noted for both.
        """
        return Visitor(self.context, await self.context.new_page(), self.world)

    async def open(self, url: str) -> int:
        """
        Open a URL; the status of the page that it leads to.
        """
        response = await self.page.goto(url)
        assert response is not None
        return response.status

    async def press(self, button: str) -> int:
        """
        Press a button by its whole name; the status of the page that it leads to.
        """
        return await self._click(self.page.get_by_role("button", name=button, exact=True))

    async def follow(self, link: str) -> int:
        """
        Follow a link by its whole name; the status of the page that it leads to.
        """
        return await self._click(self.page.get_by_role("link", name=link, exact=True))

    async def sees(self, heading: str) -> None:
        """
        See a page by its heading.
        """
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)

    async def reads(self, text: str) -> None:
        """
        Find a text in the page.
        """
        await expect(self.page.get_by_role("main")).to_contain_text(text)

    async def is_asked(self, there: tuple[str, str], here: tuple[str, str]) -> None:
        """
        See the question, about an account in the app where it began and one in the app that asks.
        """
        await self.sees(QUESTION)
        names = [f"Account at {there[0]}", f"Account at {here[0]}, signed in here"]
        await expect(self.page.get_by_role("term")).to_have_text(names)
        await expect(self.page.get_by_role("definition")).to_have_text([there[1], here[1]])

    async def is_at(self, url: str) -> None:
        """
        Find a URL in the address bar, all of it.
        """
        await expect(self.page).to_have_url(url)

    async def fill_in(self, email: str) -> None:
        """
        Fill in the sign-in form that is shown, and send it.
        """
        await self.sees("Sign in")
        await self.page.get_by_label("E-mail address").fill(email)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.press("Sign in")

    async def sign_in(self, app: App, buyer: Buyer) -> None:
        """
        Sign in to one of the apps.
        """
        await self.open(f"{app.url}/sign-in")
        await self.fill_in(buyer.email_at(app))

    async def asked(self, start: App, buyer: Buyer, other: Buyer | None = None) -> None:
        """
        Start in one of the apps, and come to the question in the other, as the same buyer or another one.
        """
        end = self.world.other(start)
        await self.sign_in(start, buyer)
        await self.sign_in(end, other or buyer)
        await self.open(f"{start.url}/account-link")
        await self.press(f"Link {end.name}")

    async def link(self, start: App, buyer: Buyer) -> None:
        """
        Link the two accounts of a buyer.
        """
        await self.asked(start, buyer)
        await self.press(LINK)
        await self.world.settle()
        assert self.world.are_linked(buyer)

    async def shows(self, name: str) -> None:
        """
        Keep a picture of the page, wide and narrow, and see that nothing in it keeps anybody out.
        """
        assert await self.page.evaluate(_FLAWS, SMALLEST_TARGET) == []
        await picture(self.page, f"linking-{name}")

    def tokens(self) -> list[str]:
        """
        The link tokens that were in URLs, each as often as it was.
        """
        queries = [parse_qs(urlsplit(request.url).query) for request in self.requests]
        return [token for query in queries for token in query.get("token", [])]

    async def referers(self) -> list[str]:
        """
        The pages that the browser named to the servers as those that it came from.
        """
        headers = [await request.all_headers() for request in self.requests]
        return [each["referer"] for each in headers if "referer" in each]

    async def _click(self, target: Locator) -> int:
        async with self.page.expect_navigation() as navigation:
            await target.click()
        response = await navigation.value
        assert response is not None
        return response.status

    def _note_refusal(self, response: Response) -> None:
        if response.request.is_navigation_request() and response.status >= 400:
            self._refusals.add(response.url)

    def _note(self, said: ConsoleMessage) -> None:
        # the browser says so of each page with such a status, also of those that are made for people
        is_status = said.text.startswith("Failed to load resource: the server responded with a status of 4")
        if not is_status or said.location["url"] not in self._refusals:
            self.complaints.append(said.text)


@asynccontextmanager
async def visitor(browser: Browser, world: World, *, javascript: bool = True) -> AsyncIterator[Visitor]:
    """
    Somebody who hasn't been anywhere; in the end the browser must have had nothing to complain about.
    """
    size = ViewportSize(width=WIDE, height=800)
    async with await browser.new_context(java_script_enabled=javascript, viewport=size) as context:
        somebody = Visitor(context, await context.new_page(), world)
        yield somebody
    assert somebody.complaints == []
