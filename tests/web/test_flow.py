from __future__ import annotations

import pytest

from tests.web.browser import FORM_HEADERS, Browser
from tests.web.sites import SCHOOL, SHOP, Site, World, sign_in

EXPLICIT = ("ada", "ada-at-school", "explicit")
MIRRORED = ("ada-at-school", "ada", "explicit")


class Direction:
    """
    Where it starts, where it is confirmed, and who Ada is in each.
    """

    def __init__(self, world: World, origin: str) -> None:
        self.origin, self.target = (world.site(origin), world.site(SCHOOL if origin == SHOP else SHOP))
        self.user, self.other = ("ada", "ada-at-school") if origin == SHOP else ("ada-at-school", "ada")


async def start(browser: Browser, origin: Site, return_to: str = "/settings?tab=links#apps") -> None:
    """
    Press the button in the app where it starts.
    """
    data = {"return_to": return_to}
    await browser.ask("POST", f"{origin.url}/api/account-link/initiate", data=data, headers=FORM_HEADERS)


@pytest.mark.parametrize("origin", [SHOP, SCHOOL])
class TestWholeFlow:
    async def test_from_button_to_both_links(self, either: World, origin: str) -> None:
        """
        Somebody starts in one app, signs in to the other, confirms there, comes back, and is linked in both.
        """
        way = Direction(either, origin)
        browser = either.browser()
        await sign_in(browser, way.origin.url, way.user)
        await start(browser, way.origin)

        assert browser.url == f"{way.target.url}/sign-in?next=/account-link/confirm"
        await browser.submit(user=way.other)
        assert browser.url == f"{way.target.url}/account-link/confirm"
        assert browser.page.headings == ["Are both accounts yours?"]
        await browser.submit("confirm")

        assert browser.url == f"{way.origin.url}/settings?tab=links&account-link=linked#apps"
        assert [answer.status_code for answer in browser.visited[-2:]] == [303, 200]
        await either.local.asettle()
        assert either.shop.links() == [EXPLICIT]
        assert either.school.links() == [MIRRORED]

    async def test_declined(self, either: World, origin: str) -> None:
        """
        Somebody who declines comes back as well, and nothing is linked or used up.
        """
        way = Direction(either, origin)
        browser = either.browser()
        await sign_in(browser, way.origin.url, way.user)
        await sign_in(browser, way.target.url, way.other)
        await start(browser, way.origin)
        await browser.submit("decline")

        assert browser.url == f"{way.origin.url}/settings?tab=links&account-link=declined#apps"
        await either.local.asettle()
        assert (either.shop.links(), either.school.links()) == ([], [])
        assert (either.shop.used(), either.school.used()) == (0, 0)

    async def test_unlink_and_link_again(self, either: World, origin: str) -> None:
        """
        On the settings page the link can be removed and made again, by its buttons alone.
        """
        way = Direction(either, origin)
        browser = either.browser()
        await sign_in(browser, way.origin.url, way.user)
        await sign_in(browser, way.target.url, way.other)
        await browser.go(f"{way.origin.url}/account-link")
        await browser.submit()
        await browser.submit("confirm")

        assert browser.url == f"{way.origin.url}/account-link?account-link=linked"
        assert "The accounts are linked now." in browser.page.text
        await either.local.asettle()
        await browser.go(f"{way.origin.url}/account-link")
        assert "confirmed by you" in browser.page.text
        await browser.submit()
        assert browser.url == f"{way.origin.url}/account-link?account-link=unlinked"
        assert "Link again" in browser.page.text
        await either.local.asettle()
        assert (either.shop.links(), either.school.links()) == ([], [])
        await browser.submit()
        await browser.submit("confirm")
        await either.local.asettle()
        assert either.shop.links() == [EXPLICIT]
        assert either.school.links() == [MIRRORED]
