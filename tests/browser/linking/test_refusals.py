"""
What a person is told when a link can't be made, and where to go from there.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.async_api import expect

from tests.browser.linking.people import App, World
from tests.browser.linking.visitors import LINK, QUESTION, Visitor

pytestmark = pytest.mark.xdist_group("browser")  # so that one worker starts one browser


def told(app: App, outcome: str = "failed") -> str:
    """
    The settings page that says what happened.
    """
    return f"{app.url}/account-link?account-link={outcome}"


class TestToken:
    @pytest.mark.parametrize("starts_at", ["shop", "school"])
    async def test_expired(self, somebody: Visitor, world: World, starts_at: str) -> None:
        """
        A link from eleven minutes ago, opened in either app, says that it has expired, and leads back to start again.
        """
        ada = world.buyer()
        start = world.shop if starts_at == "shop" else world.school
        end, used = world.other(start), world.other(start).used()
        await somebody.sign_in(end, ada)
        token = world.token(ada, start, age=timedelta(minutes=11))
        assert await somebody.open(f"{end.url}/account-link/confirm?token={token}") == 400
        await somebody.sees("This link has expired")
        await somebody.reads(f"This link has expired. Start again from {start.name}.")
        await somebody.shows("expired")
        await somebody.follow(f"Back to {start.name}")
        await somebody.is_at(f"{start.url}/?account-link=failed")
        assert (world.are_linked(ada), end.used()) == (False, used)

    async def test_fresh(self, somebody: Visitor, world: World) -> None:
        """
        The same link, opened within its ten minutes, is asked about.
        """
        ada = world.buyer()
        await somebody.sign_in(world.school, ada)
        token = world.token(ada, world.shop, age=timedelta(minutes=9))
        assert await somebody.open(f"{world.school.url}/account-link/confirm?token={token}") == 200
        await somebody.is_asked(("Total TypeScript", "a…@example.com"), ("AI Hero", "a…@work.example"))

    async def test_used_already(self, somebody: Visitor, world: World) -> None:
        """
        A link that is opened again, from the history, says that the accounts are linked, or what to do if not.
        """
        ada = world.buyer()
        await somebody.link(world.shop, ada)
        [token] = somebody.tokens()
        url = f"{world.school.url}/account-link/confirm?token={token}"
        assert await somebody.open(url) == 400
        await somebody.sees("This link was used already")
        await somebody.reads("The two accounts are linked.")
        await somebody.shows("used-already-and-linked")
        await somebody.follow("Back to Total TypeScript")
        await somebody.is_at(told(world.shop, "linked"))
        await somebody.press("Unlink AI Hero")
        await world.settle()

        assert await somebody.open(url) == 400
        await somebody.sees("This link was used already")
        await somebody.reads("This link has been used already. Start again from Total TypeScript.")
        await somebody.shows("used-already")
        await somebody.follow("Back to Total TypeScript")
        await somebody.is_at(told(world.shop))
        await somebody.reads("The accounts could not be linked.")
        await somebody.shows("settings-failed")
        assert not world.are_linked(ada)

    async def test_back_to_the_question(self, somebody: Visitor, world: World) -> None:
        """
        Who goes back to the question after confirming isn't asked again, and what was confirmed stands.
        """
        ada = world.buyer()
        await somebody.link(world.shop, ada)
        await somebody.page.go_back()
        await somebody.sees("This page is out of date")
        await somebody.shows("out-of-date")
        assert world.are_linked(ada)

    async def test_broken(self, somebody: Visitor, world: World) -> None:
        """
        A link of which a part is missing says that it doesn't work, and leads back.
        """
        ada = world.buyer()
        await somebody.sign_in(world.school, ada)
        token = world.token(ada, world.shop)[:-5]
        assert await somebody.open(f"{world.school.url}/account-link/confirm?token={token}") == 400
        await somebody.sees("This link doesn’t work")
        await somebody.shows("broken")
        await somebody.follow("Back to Total TypeScript")
        assert not world.are_linked(ada)


class TestConflict:
    async def test_account_there_is_linked(self, somebody: Visitor, world: World) -> None:
        """
        An account at the shop that is linked with another one at the school stays so: unlink that first.
        """
        ada, other = world.buyer(), world.buyer("eve")
        await somebody.sign_in(world.shop, ada)
        await somebody.open(f"{world.shop.url}/account-link")
        tab = await somebody.tab()
        await tab.link(world.shop, ada)
        await tab.sign_in(world.school, other)
        assert await somebody.press("Link AI Hero") == 409
        await somebody.sees("The accounts can’t be linked")
        await somebody.reads(
            "The account at Total TypeScript (a…@example.com) is linked with another account at AI Hero already, "
            "not with e…@work.example."
        )
        await somebody.reads(
            "Sign in to AI Hero with that other account to go on with it, or unlink it there and start again from "
            "Total TypeScript."
        )
        await somebody.shows("conflict-there")
        await somebody.follow("Back to Total TypeScript")
        await somebody.is_at(told(world.shop))
        await somebody.reads("Linked with a…@work.example")
        assert (world.are_linked(ada), world.school.links(other.school_id)) == (True, [])

    async def test_account_here_is_linked(self, somebody: Visitor, world: World) -> None:
        """
        An account at the school that is linked with another one at the shop stays so; the way to unlink it is shown.
        """
        ada, other = world.buyer(), world.buyer("eve")
        await somebody.link(world.shop, ada)
        await somebody.sign_in(world.shop, other)
        await somebody.open(f"{world.shop.url}/account-link")
        assert await somebody.press("Link AI Hero") == 409
        await somebody.sees("The accounts can’t be linked")
        await somebody.reads(
            "Your account at AI Hero (a…@work.example) is linked with another account at Total TypeScript already."
        )
        await somebody.reads(
            "If e…@example.com is the right one, unlink the other first, and then start again from Total TypeScript."
        )
        await somebody.shows("conflict-here")
        await somebody.follow("Your linked accounts")
        await somebody.press("Unlink Total TypeScript")
        await world.settle()
        await somebody.open(f"{world.shop.url}/account-link")
        await somebody.press("Link AI Hero")
        await somebody.press(LINK)
        await somebody.is_at(told(world.shop, "linked"))
        await world.settle()
        assert world.shop.links(other.shop_id) == [ada.school_id]
        assert world.shop.links(ada.shop_id) == []


class TestWrongPerson:
    async def test_somebody_else_meanwhile(self, somebody: Visitor, world: World) -> None:
        """
        The question that was put to Ada is no question to Grace, who has signed in at another tab: nothing is linked.
        """
        ada, grace = world.buyer(), world.buyer("grace")
        await somebody.asked(world.shop, ada)
        tab = await somebody.tab()
        await tab.open(world.school.url)
        await tab.press("Sign out")
        await tab.sign_in(world.school, grace)
        assert await somebody.press(LINK) == 400
        await somebody.sees("This page is out of date")
        await somebody.reads("You have answered already, or signed in as somebody else meanwhile")
        await somebody.shows("wrong-person")
        await world.settle()
        assert [world.are_linked(each) for each in (ada, grace)] == [False, False]
        await somebody.follow("Back to Total TypeScript")
        await somebody.is_at(told(world.shop))

    async def test_signed_out_meanwhile(self, somebody: Visitor, world: World) -> None:
        """
        Who has signed out at another tab signs in again, and is asked again.
        """
        ada = world.buyer()
        await somebody.asked(world.shop, ada)
        tab = await somebody.tab()
        await tab.open(world.school.url)
        await tab.press("Sign out")
        await somebody.press(LINK)
        await somebody.fill_in(ada.school_email)
        await somebody.sees(QUESTION)
        assert not world.are_linked(ada)
        await somebody.press(LINK)
        await somebody.is_at(told(world.shop, "linked"))

    async def test_another_browser(self, somebody: Visitor, world: World) -> None:
        """
        A link that somebody else has begun shows whose account it is, before anything is linked.
        """
        ada, eve = world.buyer(), world.buyer("eve")
        await somebody.sign_in(world.school, ada)
        await somebody.open(f"{world.school.url}/account-link/confirm?token={world.token(eve, world.shop)}")
        await somebody.is_asked(("Total TypeScript", "e…@example.com"), ("AI Hero", "a…@work.example"))
        await expect(somebody.page.get_by_text("If you don’t know one of them, choose “Not me”.")).to_be_visible()
        await world.settle()
        assert [world.are_linked(each) for each in (ada, eve)] == [False, False]
