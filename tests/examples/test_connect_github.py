from __future__ import annotations

from tests.examples.sites import (
    GRACE,
    Site,
    choose,
    connect_github,
    github_sign_in,
    go_to_github,
    sign_in,
)
from tests.examples.test_github_sign_in import accounts, events, user


class TestConnect:
    async def test_connected(self, site: Site) -> None:
        """
        Who is signed in can connect GitHub, and is the same user when signing in with it afterwards, without getting
        another address by that.
        """
        async with site.browser() as browser:
            await sign_in(browser, site.ada)
            assert "not connected" in (await browser.get("/account")).text
            page = await connect_github(site, browser, "grace")
            assert (page.url.path, "<dd>connected</dd>" in page.text) == ("/account", True)
            assert site.ada in page.text
        async with site.browser() as browser:
            assert site.ada in (await github_sign_in(site, browser, "grace")).text
        [(_, account_id, user_id)] = accounts(site)
        assert (account_id, user(site, user_id).email) == ("1906", site.ada)
        data = {"userId": user_id, "provider": "github", "providerAccountId": "1906"}
        assert events(site) == [("user/login", data)] * 2

    async def test_again(self, site: Site) -> None:
        """
        To connect what is connected changes nothing.
        """
        async with site.browser() as browser:
            await sign_in(browser, site.ada)
            for _ in range(2):
                assert "<dd>connected</dd>" in (await connect_github(site, browser, "ada")).text
        assert len(accounts(site)) == 1

    async def test_account_of_another(self, site: Site) -> None:
        """
        A GitHub account that signs in somebody else stays theirs, and doesn't change who is signed in.
        """
        async with site.browser() as browser:
            await github_sign_in(site, browser, "alan")
        before = accounts(site)
        async with site.browser() as browser:
            await sign_in(browser, site.ada)
            page = await connect_github(site, browser, "alan")
            assert (page.status_code, "signs in somebody else here" in page.text) == (409, True)
            assert site.ada in (await browser.get("/")).text
        assert accounts(site) == before

    async def test_another_person_signs_in(self, site: Site) -> None:
        """
        Who signs in with GitHub where somebody else is still signed in doesn't give them that account: the person in
        front of the screen isn't always the same.
        """
        async with site.browser() as browser:
            await sign_in(browser, site.ada)
            page = await github_sign_in(site, browser, "alan")
            assert site.ada not in page.text
            await sign_in(browser, site.ada)
            assert "not connected" in (await browser.get("/account")).text

    async def test_somebody_else_meanwhile(self, site: Site) -> None:
        """
        What one user began isn't ended for another who signed in meanwhile, nor for nobody.
        """
        async with site.browser() as browser:
            await sign_in(browser, site.ada)
            begun = await go_to_github(browser, path="/account/github")
            for leave in (sign_in(browser, GRACE), browser.post("/sign-out")):
                await leave
                assert (await choose(browser, begun, site.person("alan"))).status_code == 400
        assert not accounts(site)

    async def test_nobody(self, site: Site) -> None:
        """
        Who isn't signed in is asked to do so first.
        """
        async with site.browser() as browser:
            page = await browser.post("/account/github")
            assert (page.url.path, page.url.params["next"]) == ("/sign-in", "/account")
