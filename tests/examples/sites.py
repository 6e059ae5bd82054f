"""
One of the example apps on a real port, and those who visit it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import httpx
from sqlalchemy import Engine
from sqlmodel import Session, SQLModel, select

from crossapp_core.testing import Environment
from examples.two_apps.granter import models as school
from examples.two_apps.granter.sample import PASSWORD
from examples.two_apps.local_github.app import LocalGitHub
from examples.two_apps.local_github.registry import Person
from examples.two_apps.seller import models as shop
from examples.two_apps.serving import Served
from examples.two_apps.sign_in.people import People

SHOP, SCHOOL = "shop", "school"
COOKIES = {SHOP: "shop_session", SCHOOL: "school_session"}
ADA = {SHOP: "ada@example.com", SCHOOL: "ada@work.example"}
GRACE = "grace@example.com"

M = TypeVar("M", bound=SQLModel)


@dataclass(frozen=True)
class Site:
    """
    An app, its database, and the provider that people may sign in with.
    """

    name: str
    url: str
    engine: Engine
    inngest: Environment
    github: LocalGitHub
    github_url: str

    @classmethod
    def of(cls, name: str, all_three: Served, engines: tuple[Engine, Engine]) -> Site:
        """
        The shop or the school.
        """
        if name == SHOP:
            url, engine, running = all_three.shop_url, engines[0], all_three.both.shop
        else:
            url, engine, running = all_three.school_url, engines[1], all_three.both.school
        return cls(name, url, engine, running.inngest, all_three.github, all_three.github_url)

    @property
    def people(self) -> People:
        """
        The app's tables of users and accounts.
        """
        return shop.PEOPLE if self.name == SHOP else school.PEOPLE

    @property
    def ada(self) -> str:
        """
        Ada's address in this app.
        """
        return ADA[self.name]

    @property
    def cookie(self) -> str:
        """
        The name of the session cookie.
        """
        return COOKIES[self.name]

    def browser(self) -> httpx.AsyncClient:
        """
        Another browser, which has no cookies yet and follows redirects, also to the provider.
        """
        return httpx.AsyncClient(base_url=self.url, follow_redirects=True, trust_env=False)

    def rows(self, model: type[M]) -> Sequence[M]:
        """
        All rows of a table.
        """
        with Session(self.engine) as session:
            return session.exec(select(model)).all()

    def person(self, login: str) -> Person:
        """
        Somebody at the provider.
        """
        return next(each for each in self.github.people if each.login == login)


async def sign_in(browser: httpx.AsyncClient, email: str, password: str = PASSWORD, go_on: str = "/") -> httpx.Response:
    """
    Sign in by password.
    """
    return await browser.post("/sign-in", data={"email": email, "password": password, "next": go_on})


async def go_to_github(
    browser: httpx.AsyncClient, go_on: str = "/", *, path: str = "/sign-in/github"
) -> httpx.Response:
    """
    Press GitHub's button; the page of the provider.
    """
    return await browser.post(path, data={"next": go_on})


async def choose(browser: httpx.AsyncClient, page: httpx.Response, person: Person | None) -> httpx.Response:
    """
    Choose whom to be at the provider, None to cancel; the page of the app that this leads to.
    """
    return await browser.post(page.url, data={} if person is None else {"person": str(person.id)})


async def github_sign_in(site: Site, browser: httpx.AsyncClient, login: str, go_on: str = "/") -> httpx.Response:
    """
    Sign in with GitHub.
    """
    return await choose(browser, await go_to_github(browser, go_on), site.person(login))


async def connect_github(site: Site, browser: httpx.AsyncClient, login: str) -> httpx.Response:
    """
    Connect GitHub, as whoever is signed in.
    """
    return await choose(browser, await go_to_github(browser, path="/account/github"), site.person(login))
