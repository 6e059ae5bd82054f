from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crossapp_core.models import AccountLink
from tests.hosts import NOW
from tests.web.browser import FORM_HEADERS, Browser
from tests.web.sites import SCHOOL, SHOP_URL, World, sign_in

PAGE, UNLINK = f"{SHOP_URL}/account-link", f"{SHOP_URL}/account-link/unlink"


def write_link(world: World, method: str, **changed: str | None) -> None:
    """
    Link Ada at the shop, in its database alone.
    """
    values: dict[str, Any] = {"linked_user_id": "ada-at-school", "linked_email": "ada@school.example", **changed}
    with world.shop.database.session() as session:
        session.add(
            AccountLink(
                id="link",
                user_id="ada",
                linked_app=SCHOOL,
                link_method=method,
                linked_at=NOW,
                version=3 if method == "explicit" else 1,
                **values,
            )
        )


@pytest.fixture
async def ada(world: World) -> Browser:
    """
    The browser of Ada, who is signed in to the shop.
    """
    return await world.signed_in(shop="ada")


class TestPage:
    async def test_nothing_linked(self, ada: Browser) -> None:
        """
        Who has no link sees the peer, and a button to begin.
        """
        answer = await ada.go(PAGE)
        assert answer.status_code == 200
        assert ada.page.headings == ["Linked accounts"]
        assert "You are signed in to Total TypeScript as a…@shop.example." in ada.page.text
        assert "AI Hero Not linked." in ada.page.text
        assert [form.action for form in ada.page.forms] == ["/api/account-link/initiate"]

    @pytest.mark.parametrize(
        ("method", "words"),
        [
            ("explicit", "(confirmed by you)"),
            ("oauth-github", "(you sign in with the same GitHub account)"),
            ("oauth-discord", "(you sign in with the same Discord account)"),
            ("oauth-my-login", "(you sign in with the same My Login account)"),
        ],
    )
    async def test_linked(self, world: World, method: str, words: str, ada: Browser) -> None:
        """
        A link is shown with the other account, in part, and how it came to be, and a button to unlink.
        """
        write_link(world, method)
        await ada.go(PAGE)
        assert f"Linked with a…@school.example {words}" in ada.page.text
        assert "ada@" not in ada.now.text
        assert [form.action for form in ada.page.forms] == ["/account-link/unlink"]

    async def test_without_address(self, world: World, ada: Browser) -> None:
        """
        Where no address is known, the id of the other account stands; HTML in it is shown as it is.
        """
        write_link(world, "explicit", linked_email=None, linked_user_id="<script>1</script>")
        await ada.go(PAGE)
        assert "Linked with <script>1</script> (" in ada.page.text
        assert "script" not in {tag for tag, _ in ada.page.tags}

    async def test_others_links_are_not_shown(self, world: World) -> None:
        """
        Nobody sees the link of another person.
        """
        write_link(world, "explicit")
        bob = await world.signed_in(shop="bob")
        await bob.go(PAGE)
        assert "school.example" not in bob.now.text
        assert "AI Hero Not linked." in bob.page.text

    @pytest.mark.parametrize(
        ("told", "words"),
        [
            ("linked", "The accounts are linked now."),
            ("declined", "You didn’t link the accounts."),
            ("failed", "The accounts could not be linked."),
            ("unlinked", "The accounts are not linked any more."),
            ("<script>", None),
            ("anything", None),
        ],
    )
    async def test_what_happened(self, told: str, words: str | None, ada: Browser) -> None:
        """
        What happened is said in words of our own, and only if it is one of the known.
        """
        await ada.go(PAGE, params={"account-link": told})
        notes = [attributes for _, attributes in ada.page.tags if attributes.get("role") == "status"]
        assert len(notes) == (0 if words is None else 1)
        assert (words or "Linked accounts") in ada.page.text
        assert "anything" not in ada.now.text

    async def test_not_signed_in(self, world: World) -> None:
        """
        Who isn't signed in does so first; what happened is still told then, and nothing else of the URL is kept.
        """
        browser = world.browser()
        answer = await browser.go(f"{PAGE}?account-link=linked&x=//evil", follow=False)
        assert answer.headers["location"] == "/sign-in?next=/account-link%3Faccount-link%3Dlinked"
        answer = await browser.go(f"{PAGE}?account-link=//evil", follow=False)
        assert answer.headers["location"] == "/sign-in?next=/account-link"

    async def test_account_is_gone(self, world: World, ada: Browser) -> None:
        """
        Somebody whose account was deleted is told so.
        """
        world.shop.delete("ada")
        assert (await ada.go(PAGE)).status_code == 400
        assert ada.page.headings == ["This account is gone"]


class TestUnlink:
    async def test_button(self, either: World) -> None:
        """
        The button unlinks, in both apps, and the page says so and offers to link again.
        """
        await either.link()
        browser = await either.signed_in(shop="ada")
        await browser.go(PAGE)
        await browser.submit()
        assert browser.url == f"{PAGE}?account-link=unlinked"
        assert "Not linked any more." in browser.page.text
        await either.local.asettle()
        assert (either.shop.links(), either.school.links()) == ([], [])

    @pytest.mark.parametrize("csrf", [None, "", "x.y.z"])
    async def test_without_our_token(self, world: World, csrf: str | None, ada: Browser) -> None:
        """
        A form without the page's own token unlinks nothing, nor does one that another site has sent.
        """
        write_link(world, "explicit")
        await ada.go(PAGE)
        fields = ada.page.forms[0].fields
        assert (await ada.submit(csrf=csrf)).status_code == 403
        headers = {"sec-fetch-site": "cross-site"}
        assert (await ada.ask("POST", UNLINK, data=fields, headers=headers)).status_code == 403
        assert world.shop.links() == [("ada", "ada-at-school", "explicit")]

    async def test_form_of_another_person(self, world: World, ada: Browser) -> None:
        """
        The form of one person doesn't unlink another.
        """
        write_link(world, "explicit")
        bob = await world.signed_in(shop="bob")
        await bob.go(PAGE)
        csrf = bob.page.forms[0].fields["csrf"]
        answer = await ada.ask("POST", UNLINK, data={"app": SCHOOL, "csrf": csrf}, headers=FORM_HEADERS)
        assert answer.status_code == 403
        assert len(world.shop.links()) == 1

    async def test_form_of_another_page(self, world: World) -> None:
        """
        The form of the page that asks to confirm doesn't unlink.
        """
        await world.link()
        browser = await world.asked()
        csrf = browser.page.forms[0].fields["csrf"]
        url = f"{browser.url.removesuffix('/confirm')}/unlink"
        answer = await browser.ask("POST", url, data={"csrf": csrf}, headers=FORM_HEADERS)
        assert answer.status_code == 403
        assert len(world.school.links()) == 1

    async def test_old_page(self, world: World, ada: Browser) -> None:
        """
        A page that was open for twelve hours is an old one.
        """
        write_link(world, "explicit")
        await ada.go(PAGE)
        world.local.clock.advance(timedelta(hours=12))
        assert (await ada.submit()).status_code == 403
        await ada.go(PAGE)
        world.local.clock.advance(timedelta(hours=12, seconds=-1))
        assert (await ada.submit()).status_code == 200
        assert world.shop.links() == []

    async def test_not_signed_in(self, world: World, ada: Browser) -> None:
        """
        Who has signed out meanwhile signs in first, and unlinks nothing by that.
        """
        write_link(world, "explicit")
        await ada.go(PAGE)
        ada.http.cookies.delete("session", domain="shop.example")
        await ada.submit()
        assert ada.url == f"{SHOP_URL}/sign-in?next=/account-link"
        await sign_in(ada, SHOP_URL, "ada")
        assert len(world.shop.links()) == 1

    async def test_nothing_to_unlink(self, ada: Browser) -> None:
        """
        Unlinking twice, or an unknown app, does no harm.
        """
        await ada.go(PAGE)
        fields = ada.page.forms[0].fields
        answer = await ada.ask("POST", UNLINK, data=fields, headers=FORM_HEADERS)
        assert answer.status_code == 200
        answer = await ada.ask("POST", UNLINK, data={**fields, "app": "nobody"}, headers=FORM_HEADERS)
        assert answer.status_code == 422
