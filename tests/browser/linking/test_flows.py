"""
What a buyer does to get what was bought, from the purchase to the opened course.
"""

from __future__ import annotations

import pytest

from examples.two_apps.stripe_events import load
from tests.browser.linking.people import COURSE, World
from tests.browser.linking.visitors import KEEP, LINK, NOT_ME, QUESTION, Visitor

pytestmark = pytest.mark.xdist_group("browser")  # so that one worker starts one browser


class TestExplicit:
    async def test_from_the_shop(self, anybody: Visitor, world: World) -> None:
        """
        A buyer links from the shop's page, signs in at the school in between, confirms, comes back, and has the course.
        """
        ada = world.buyer()
        await world.buy(ada)
        await anybody.sign_in(world.school, ada)
        assert await anybody.open(world.school.url + COURSE) == 403
        await anybody.sees("“Evals” is locked")
        await anybody.press("Sign out")

        await anybody.open(world.shop.url)
        await anybody.follow("Link your account at AI Hero")
        await anybody.fill_in(ada.shop_email)
        await anybody.is_at(f"{world.shop.url}/account-link")
        await anybody.reads("You are signed in to Total TypeScript as a…@example.com.")
        await anybody.shows("settings-unlinked")
        await anybody.press("Link AI Hero")
        await anybody.is_at(f"{world.school.url}/sign-in?next=/account-link/confirm")
        await anybody.shows("sign-in")
        await anybody.fill_in(ada.school_email)

        await anybody.is_at(f"{world.school.url}/account-link/confirm")
        await anybody.is_asked(("Total TypeScript", "a…@example.com"), ("AI Hero", "a…@work.example"))
        await anybody.reads("What you buy at Total TypeScript then opens at AI Hero for a…@work.example.")
        await anybody.reads("The two addresses differ.")
        await anybody.shows("confirm-two-addresses")
        await anybody.press(LINK)

        await anybody.is_at(f"{world.shop.url}/account-link?account-link=linked")
        await anybody.reads("The accounts are linked now.")
        await anybody.shows("settings-just-linked")
        await world.settle()
        assert world.are_linked(ada)
        await anybody.page.reload()
        await anybody.reads("Linked with a…@work.example (confirmed by you)")
        assert await anybody.open(world.school.url + COURSE) == 200
        await anybody.sees("Evals")
        await anybody.reads("How to know that a prompt got better.")
        await anybody.shows("course")
        for app in (world.shop, world.school):
            await anybody.open(f"{app.url}/account-link")
            await anybody.reads("confirmed by you")
        await anybody.reads("Linked with a…@example.com")
        await anybody.shows("settings-linked")

    async def test_from_the_school(self, anybody: Visitor, world: World) -> None:
        """
        A buyer finds the course locked, links from there, confirms at the shop, comes back, and has the course.
        """
        ada = world.buyer(one_address=True)
        await world.buy(ada)
        await anybody.sign_in(world.school, ada)
        await anybody.open(world.school.url + COURSE)
        await anybody.shows("course-locked")
        await anybody.follow("link your account there")
        await anybody.press("Link Total TypeScript")
        await anybody.is_at(f"{world.shop.url}/sign-in?next=/account-link/confirm")
        await anybody.fill_in(ada.shop_email)

        await anybody.is_asked(("AI Hero", "a…@example.com"), ("Total TypeScript", "a…@example.com"))
        await anybody.reads("What you buy at Total TypeScript then opens at AI Hero for a…@example.com.")
        assert await anybody.page.get_by_text("The two addresses differ.").count() == 0
        await anybody.shows("confirm")
        await anybody.press(LINK)

        await anybody.is_at(f"{world.school.url}/account-link?account-link=linked")
        await anybody.reads("The accounts are linked now.")
        await world.settle()
        assert world.are_linked(ada)
        await anybody.open(world.school.url)
        await anybody.follow("Evals")
        await anybody.reads("How to know that a prompt got better.")

    async def test_declined(self, somebody: Visitor, world: World) -> None:
        """
        Who sees an account that isn't theirs declines, is back where they began, and nothing is linked or used up.
        """
        ada, used = world.buyer(), world.school.used()
        await somebody.asked(world.shop, ada)
        await somebody.press(NOT_ME)
        await somebody.is_at(f"{world.shop.url}/account-link?account-link=declined")
        await somebody.reads("You didn’t link the accounts.")
        await somebody.shows("settings-declined")
        await world.settle()
        assert not world.are_linked(ada)
        assert world.school.used() == used
        await somebody.open(f"{world.school.url}/account-link/confirm")
        await somebody.sees("This page is out of date")


class TestAgain:
    @pytest.mark.parametrize("unlinks_at", ["shop", "school"])
    async def test_unlink_and_link_again(self, somebody: Visitor, world: World, unlinks_at: str) -> None:
        """
        Who unlinks, in either app, keeps the course; what is bought afterwards waits until they link again.
        """
        ada = world.buyer()
        await somebody.link(world.shop, ada)
        here = world.shop if unlinks_at == "shop" else world.school
        there = world.other(here)
        await world.buy(ada)
        assert await somebody.open(world.school.url + COURSE) == 200

        await somebody.open(f"{here.url}/account-link")
        await somebody.press(f"Unlink {there.name}")
        await somebody.is_at(f"{here.url}/account-link?account-link=unlinked")
        await somebody.reads("The accounts are not linked any more. What was unlocked stays so.")
        await somebody.shows("settings-unlinked-again")
        await world.settle()
        assert not world.are_linked(ada)
        assert await somebody.open(world.school.url + COURSE) == 200

        await somebody.open(f"{there.url}/account-link")
        await somebody.reads("Not linked any more.")
        await somebody.press(f"Link {here.name} again")
        await somebody.press(LINK)
        await somebody.is_at(f"{there.url}/account-link?account-link=linked")
        await world.settle()
        assert world.are_linked(ada)

    async def test_already_linked(self, somebody: Visitor, world: World) -> None:
        """
        Who starts in a tab from before the two accounts were linked is told so, and confirming again is no mistake.
        """
        ada = world.buyer()
        await somebody.sign_in(world.shop, ada)
        await somebody.open(f"{world.shop.url}/account-link")
        other = await somebody.tab()
        await other.link(world.shop, ada)
        await somebody.press("Link AI Hero")
        await somebody.sees(QUESTION)
        await somebody.reads("These two accounts are linked already.")
        await somebody.shows("confirm-linked-already")
        await somebody.press(KEEP)
        await somebody.is_at(f"{world.shop.url}/account-link?account-link=linked")
        await world.settle()
        assert world.are_linked(ada)


class TestGitHub:
    async def test_guest(self, somebody: Visitor, world: World) -> None:
        """
        Grace bought as a guest, signs in at the school with the GitHub account that the shop knows, and has the course.
        """
        sale = load("checkout.session.completed.expanded")
        assert (await world.sites.both.stripe(sale)).status_code == 200
        await world.settle()
        await somebody.open(f"{world.school.url}/sign-in?next={COURSE}")
        await somebody.press("Sign in with GitHub")
        await somebody.page.get_by_role("button", name="Grace Hopper").click()
        await somebody.sees("“Evals” is locked")
        await world.settle()
        await somebody.page.reload()
        await somebody.sees("Evals")
        await somebody.reads("How to know that a prompt got better.")
        assert len(world.shop.links("usr_grace")) == 1

        await somebody.open(f"{world.school.url}/account-link")
        await somebody.reads("Linked with g…@example.com (you sign in with the same GitHub account)")
        await somebody.shows("settings-linked-by-github")
        await somebody.open(f"{world.shop.url}/sign-in?next=/account-link")
        await somebody.fill_in("grace@example.com")
        await somebody.reads("(you sign in with the same GitHub account)")
        await somebody.shows("settings-linked-by-github-at-the-shop")

    async def test_in_between(self, somebody: Visitor, world: World) -> None:
        """
        Who signs in with GitHub in between, for the first time at all, comes to the question with the new account.
        """
        ada = world.buyer()
        await somebody.sign_in(world.shop, ada)
        await somebody.open(f"{world.shop.url}/account-link")
        await somebody.press("Link AI Hero")
        await somebody.press("Sign in with GitHub")
        await somebody.page.get_by_role("button", name="alan").click()
        await somebody.is_at(f"{world.school.url}/account-link/confirm")
        await somebody.is_asked(("Total TypeScript", "a…@example.com"), ("AI Hero", "alan"))
        await somebody.shows("confirm-name")
        await somebody.press(LINK)
        await somebody.is_at(f"{world.shop.url}/account-link?account-link=linked")
        await world.settle()
        [user_id] = world.shop.links(ada.shop_id)
        assert world.school.links(user_id) == [ada.shop_id]
