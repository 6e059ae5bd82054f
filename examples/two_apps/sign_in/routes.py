"""
The pages to sign in and out, by password or with GitHub.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import inngest
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session
from sqlmodel.ext.asyncio.session import AsyncSession

from crossapp_core.addresses import normalise_or_none
from examples.two_apps.sign_in import forms, sessions
from examples.two_apps.sign_in.github import CALLBACK, GitHub, GitHubError, Identity
from examples.two_apps.sign_in.guards import is_from_another_site, local_path, read_form
from examples.two_apps.sign_in.passwords import LONGEST, SHORTEST, Passwords
from examples.two_apps.sign_in.people import OtherUserError, People
from examples.two_apps.sign_in.settings import Settings
from examples.two_apps.sign_in.tables import UserBase

log = logging.getLogger(__name__)

SIGN_IN = "/sign-in"
"""The sign-in page: `?next=/path` says where it leads."""
_GITHUB = "github"
_GO_ON, _CONNECT = "next", "connect"
_ATTEMPTS = 3
_PATIENCE = 5.0

P = ParamSpec("P")
T = TypeVar("T")


class Show(Protocol):
    """
    Answers with a page in the app's style.
    """

    def __call__(
        self,
        title: str,
        content: str,
        user: UserBase | None,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        form_targets: Sequence[str] = (),
    ) -> HTMLResponse:
        """
        Answer with it.
        """
        ...


class SignIn:
    """
    Who is signed in, and how one comes to be.

    Args:
        engine: The app's database.
        people: The app's users.
        settings: How they sign in.
        show: Makes the pages.
        client: The app's own Inngest, which is told of each sign-in with GitHub.
    """

    def __init__(
        self, engine: AsyncEngine, people: People, settings: Settings, *, show: Show, client: inngest.Inngest
    ) -> None:
        self._engine = engine
        self._people = people
        self._settings = settings
        self._show_page = show
        self._client = client
        self._passwords = Passwords()
        self._github = GitHub(settings)

    async def current_user(self, request: Request) -> UserBase | None:
        """
        The user who sent a request; None if nobody is signed in.
        """
        user_id = sessions.user_id(request)
        return None if user_id is None else await self._run(self._people.get, user_id)

    def router(self) -> APIRouter:
        """
        The pages.
        """
        routes = APIRouter()
        routes.get(SIGN_IN)(self._ask)
        routes.post(SIGN_IN)(self._sign_in)
        routes.get("/register")(self._ask_to_register)
        routes.post("/register")(self._register)
        routes.post("/sign-out")(self._sign_out)
        routes.get("/account")(self._account)
        if self._settings.has_github:
            routes.post("/sign-in/github")(self._begin)
            routes.post("/account/github")(self._begin_to_connect)
            routes.get(CALLBACK)(self._finish)
        return routes

    async def _ask(self, request: Request) -> Response:
        content = forms.sign_in(local_path(request.query_params.get(_GO_ON)), github=self._settings.has_github)
        return await self._show(request, "Sign in", content)

    async def _sign_in(self, request: Request) -> Response:
        if self._is_foreign(request):
            return await self._refuse(request)
        form = await read_form(request)
        go_on, typed = local_path(form.get(_GO_ON)), form.get("email", "")
        address = normalise_or_none(typed)
        user = None if address is None else await self._run(self._people.by_email, address)
        stored = None if user is None else user.password_hash
        # checked for those who aren't there, too: it must not be faster
        if not await self._passwords.verify(form.get("password", "")[:LONGEST], stored) or user is None:
            problem = "This address and this password don’t belong together."
            content = forms.sign_in(go_on, github=self._settings.has_github, problem=problem, email=typed)
            return await self._show(request, "Sign in", content, HTTPStatus.FORBIDDEN)
        return _enter(request, user, go_on)

    async def _ask_to_register(self, request: Request) -> Response:
        content = forms.register(local_path(request.query_params.get(_GO_ON)), github=self._settings.has_github)
        return await self._show(request, "Make an account", content)

    async def _register(self, request: Request) -> Response:
        if self._is_foreign(request):
            return await self._refuse(request)
        form = await read_form(request)
        go_on, typed, password = local_path(form.get(_GO_ON)), form.get("email", ""), form.get("password", "")
        address = normalise_or_none(typed)
        if address is None:
            problem, status = "This is no e-mail address.", HTTPStatus.BAD_REQUEST
        elif not SHORTEST <= len(password) <= LONGEST:
            problem, status = f"A password has {SHORTEST} to {LONGEST:,} characters.", HTTPStatus.BAD_REQUEST
        else:
            hashed = await self._passwords.hash(password)
            try:
                return _enter(request, await self._run(self._people.register, address, hashed), go_on)
            except IntegrityError:
                # An app that sends mails says so in one to that address, so that nobody can try out who is here.
                problem, status = "Somebody has an account with this address already.", HTTPStatus.CONFLICT
        content = forms.register(go_on, github=self._settings.has_github, problem=problem, email=typed)
        return await self._show(request, "Make an account", content, status)

    async def _sign_out(self, request: Request) -> Response:
        if self._is_foreign(request):
            return await self._refuse(request)
        sessions.end(request)
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)

    async def _account(self, request: Request) -> Response:
        user = await self.current_user(request)
        if user is None:
            return RedirectResponse(f"{SIGN_IN}?next=/account", HTTPStatus.SEE_OTHER)
        connected = await self._run(self._people.has_account, _GITHUB, user.id)
        content = forms.account(user, github=self._settings.has_github, connected=connected)
        return await self._show(request, "Your account", content)

    async def _begin(self, request: Request) -> Response:
        if self._is_foreign(request):
            return await self._refuse(request)
        go_on = local_path((await read_form(request)).get(_GO_ON))
        # Whoever comes back is signed in, whoever is now: it needn't be the same person.
        return await self._send(request, go_on, connect=None)

    async def _begin_to_connect(self, request: Request) -> Response:
        if self._is_foreign(request):
            return await self._refuse(request)
        user = await self.current_user(request)
        if user is None:
            return RedirectResponse(f"{SIGN_IN}?next=/account", HTTPStatus.SEE_OTHER)
        return await self._send(request, "/account", connect=user.id)

    async def _send(self, request: Request, go_on: str, *, connect: str | None) -> Response:
        redirect = await self._github.begin(request)
        request.session[_GITHUB] = {_GO_ON: go_on, _CONNECT: connect}
        redirect.status_code = HTTPStatus.SEE_OTHER
        return redirect

    async def _finish(self, request: Request) -> Response:
        begun = request.session.pop(_GITHUB, {})
        try:
            identity = await self._github.finish(request)
        except GitHubError as error:
            log.info("a sign-in with GitHub failed: %s", error.reason)
            content = forms.message("GitHub didn’t sign you in.", link=SIGN_IN, leads_to="Try again")
            return await self._show(request, "That didn’t work", content, HTTPStatus.BAD_REQUEST)
        try:
            user = await self._known(request, identity, begun.get(_CONNECT))
        except OtherUserError:
            text = "This GitHub account signs in somebody else here. Sign in with it, or choose another one."
            content = forms.message(text, link="/account", leads_to="Your account")
            return await self._show(request, "That is somebody else’s", content, HTTPStatus.CONFLICT)
        await self._tell(user.id, identity)
        return _enter(request, user, local_path(begun.get(_GO_ON)))

    async def _known(self, request: Request, identity: Identity, connect: str | None) -> UserBase:
        if connect is not None and connect != sessions.user_id(request):
            raise OtherUserError
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._look_up(identity, connect)
            except (IntegrityError, OperationalError):  # the second is MySQL's, for a deadlock
                pass  # what another request wrote at the same time is found by the next attempt
        return await self._look_up(identity, connect)

    async def _look_up(self, identity: Identity, connect: str | None) -> UserBase:
        if connect is None:
            return await self._run(self._people.of, _GITHUB, identity)
        return await self._run(self._people.connect, _GITHUB, identity, connect)

    async def _tell(self, user_id: str, identity: Identity) -> None:
        # Ids alone: an event is read by more people than a database.
        data = {"userId": user_id, "provider": _GITHUB, "providerAccountId": identity.id}
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._client.send(inngest.Event(name="user/login", data=data))
        except Exception as error:  # noqa: BLE001 (nobody stays outside because an event can't be sent)
            log.warning("user/login was not sent: %s", type(error).__name__)

    async def _run(self, operation: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
            return await session.run_sync(operation, *args, **kwargs)

    def _is_foreign(self, request: Request) -> bool:
        return is_from_another_site(request.headers, self._settings.origin)

    async def _refuse(self, request: Request) -> Response:
        content = forms.message("This form was sent by another site.", link=SIGN_IN, leads_to="Sign in here")
        return await self._show(request, "That didn’t work", content, HTTPStatus.FORBIDDEN)

    async def _show(
        self, request: Request, title: str, content: str, status: HTTPStatus = HTTPStatus.OK
    ) -> HTMLResponse:
        user = await self.current_user(request)
        return self._show_page(title, content, user, status=status, form_targets=self._settings.form_targets)


def _enter(request: Request, user: UserBase, go_on: str) -> Response:
    sessions.start(request, user.id)
    return RedirectResponse(go_on, HTTPStatus.SEE_OTHER)
