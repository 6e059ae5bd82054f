from __future__ import annotations

import asyncio
import threading

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import ValidationError

from examples.two_apps.sign_in.passwords import Passwords, hash_once
from examples.two_apps.sign_in.settings import Settings
from tests.examples.sites import Site, sign_in


class TestRegister:
    async def test_new(self, site: Site) -> None:
        """
        Whoever makes an account is signed in; that the address is theirs isn't known, so it isn't verified.
        """
        async with site.browser() as browser:
            form = {"email": " New@Example.com", "password": "long enough"}
            assert "new@example.com" in (await browser.post("/register", data=form)).text
            assert "new@example.com (not verified)" in (await browser.get("/account")).text
        async with site.browser() as browser:
            assert "new@example.com" in (await sign_in(browser, "new@example.com", "long enough")).text
        [user] = [each for each in site.rows(site.people.users) if each.email == "new@example.com"]
        assert not user.email_verified
        assert (user.password_hash or "").startswith("$argon2id$")

    async def test_twice(self, site: Site) -> None:
        """
        An address is registered once: the second attempt changes nothing, not even the password.
        """
        async with site.browser() as browser:
            form = {"email": site.ada.upper(), "password": "another password"}
            page = await browser.post("/register", data=form)
            assert (page.status_code, "Somebody has an account" in page.text) == (409, True)
            assert not browser.cookies
            assert (await sign_in(browser, site.ada, "another password")).status_code == 403
            assert site.ada in (await sign_in(browser, site.ada)).text
        assert len(site.rows(site.people.users)) == 2

    async def test_twice_at_once(self, site: Site) -> None:
        """
        Nor is it if both come at the same time.
        """
        form = {"email": "new@example.com", "password": "long enough"}
        async with site.browser() as one, site.browser() as other:
            pages = await asyncio.gather(*(each.post("/register", data=form) for each in (one, other)))
        assert sorted(page.status_code for page in pages) == [200, 409]
        assert len(site.rows(site.people.users)) == 3

    async def test_what_cannot_be(self, site: Site) -> None:
        """
        What is wrong with the address or the password is told, and nothing is written.
        """
        no_address, no_password = "This is no e-mail address.", "A password has 8 to 1,000 characters."
        async with site.browser() as browser:
            for form, problem in (
                ({}, no_address),
                ({"email": "new@", "password": "long enough"}, no_address),
                ({"email": "new@example.com"}, no_password),
                ({"email": "new@example.com", "password": "short"}, no_password),
                ({"email": "new@example.com", "password": "a" * 1001}, no_password),
            ):
                page = await browser.post("/register", data=form)
                assert (page.status_code, problem in page.text) == (400, True)
            assert not browser.cookies
        assert len(site.rows(site.people.users)) == 2


class TestPasswords:
    async def test_nobody_waits(self) -> None:
        """
        While a password is checked, others are served: this one comes to its end only when something else has run.
        """
        served = threading.Event()

        class Patient(Argon2Hasher):
            def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002 (pwdlib's name)
                return served.wait(timeout=10) and super().verify(password, hash)

        async def serve() -> None:
            served.set()

        passwords = Passwords(PasswordHash((Patient(),)))
        right, _ = await asyncio.gather(passwords.verify("secret", hash_once("secret")), serve())
        assert right

    async def test_two_hashes_of_one_password(self) -> None:
        """
        Equal passwords have different hashes, and neither is the password.
        """
        hashes = [await Passwords().hash("long enough") for _ in range(2)]
        assert len({*hashes}) == 2
        assert [await Passwords().verify("long enough", each) for each in hashes] == [True, True]
        assert not [each for each in hashes if "long enough" in each]


class TestSettings:
    @pytest.mark.parametrize("secret", [{}, {"SESSION_SECRET": ""}, {"SESSION_SECRET": "too short"}])
    def test_secret_when_deployed(self, secret: dict[str, str]) -> None:
        """
        Outside of development an app doesn't start without a secret for its sessions, and doesn't tell the one it has.
        """
        with pytest.raises(ValidationError, match="SESSION_SECRET needs 32 bytes") as caught:
            Settings.from_env(secret, origin="https://app.example", dev=False)
        assert "too short" not in str(caught.value)

    def test_secret_in_development(self) -> None:
        """
        In development one is made up, another for each app.
        """
        settings = Settings.from_env({}, origin="http://app.test", dev=True)
        assert len({settings.session_key() for _ in range(3)}) == 3

    def test_hidden(self) -> None:
        """
        No secret is in the settings' text.
        """
        secrets = {"SESSION_SECRET": "hush" * 8, "GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "hush-hush"}
        assert "hush" not in repr(Settings.from_env(secrets, origin="https://app.example", dev=False))

    def test_github(self) -> None:
        """
        GitHub's own URLs are the default; its API's may end with a slash or not.
        """
        settings = Settings.from_env({}, origin="http://app.test", dev=True)
        assert (settings.has_github, settings.form_targets) == (False, [])
        urls = (settings.github_authorize_url, settings.github_token_url, settings.github_api_url)
        assert urls == (
            "https://github.com/login/oauth/authorize",
            "https://github.com/login/oauth/access_token",
            "https://api.github.com/",
        )
        enterprise = {"GITHUB_API_URL": "https://git.example/api/v3"}
        settings = Settings.from_env(enterprise, origin="http://app.test", dev=True)
        assert settings.github_api_url == "https://git.example/api/v3/"

    def test_github_without_its_secret(self) -> None:
        """
        GitHub's client id without its secret is a mistake.
        """
        with pytest.raises(ValidationError, match="GITHUB_CLIENT_SECRET is not set"):
            Settings.from_env({"GITHUB_CLIENT_ID": "id"}, origin="http://app.test", dev=True)

    def test_origin(self) -> None:
        """
        `WEB_ORIGIN` says where people reach the app, if that is not where Inngest does.
        """
        environ = {"WEB_ORIGIN": "https://www.example"}
        assert Settings.from_env(environ, origin="http://app.internal", dev=True).origin == "https://www.example"
