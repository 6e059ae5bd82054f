"""
The pages on which people link and unlink their accounts, for any web framework: requests and responses are plain
objects.

A person comes from a peer with a token in the URL. It leaves the URL at once: what it says is kept in a signed cookie
of this browser, for ten minutes, until the person, who is signed in here, confirms or declines by a form.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from crossapp_core.apps import Peer
from crossapp_core.errors import CrossAppError, LinkTokenError
from crossapp_core.flavours import run_sync
from crossapp_core.operations.people import Link
from crossapp_core.operations.prospects import Overview
from crossapp_core.web import texts
from crossapp_core.web.answers import CONFIRM_PATH, LinkAnswers
from crossapp_core.web.cookies import Ticket
from crossapp_core.web.rendering import json_response, redirect
from crossapp_core.web.requests import BadRequestError, LinkRequest, LinkResponse
from crossapp_core.web.returns import PARAMETER, SETTINGS_PATH, is_plain, telling

__all__ = ["PATHS", "LinkPages"]

_INITIATE_PATH = "/api/account-link/initiate"

PATHS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        _INITIATE_PATH: {"POST": "start_link"},
        SETTINGS_PATH: {"GET": "settings"},
        CONFIRM_PATH: {"GET": "read_request", "POST": "confirm"},
        "/account-link/unlink": {"POST": "unlink"},
    }
)
"""Where everything is, and which method of `LinkPages` answers which HTTP method there."""


class LinkPages(LinkAnswers):
    """
    Answers requests; made by a bridge, `bridge.link_pages()`.

    Who is signed in is for the app to say, with each request: by its id, or None. Each method has a twin for sync code,
    `confirm_sync` for `confirm`.

    Args:
        linking: Links the accounts.
        sign_in_url: Where people sign in; the path to which they come back is given to it as a parameter.
        next_parameter: The parameter's name.
        effect: What linking does, with `{here}` and `{there}` for the apps, `{ours}` and `{theirs}` for the accounts.

    Raises:
        CrossAppConfigError: No peer has a secret.
        ImportError: Jinja2 isn't installed.
    """

    async def respond(self, path: str, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Answer a request to any of `PATHS`; 404 or 405 if it is none of ours.
        """
        methods = PATHS.get(path, {})
        name = methods.get("GET" if request.method == "HEAD" else request.method)
        if name is not None:
            answer: LinkResponse = await getattr(self, name)(request, user_id)
            return LinkResponse(answer.status, answer.headers) if request.method == "HEAD" else answer
        status, code = (405, "method") if methods else (404, "path")
        error = BadRequestError(status, code, "Nothing was changed.")
        allow = {"Allow": ", ".join(methods)} if methods else {}
        return self._unreadable(error, as_json=path == _INITIATE_PATH, headers=allow)

    async def start_link(self, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Send a person who is signed in here to the peer: a script gets the URL, a form is led there.

        Its fields are `app`, which may be left out with a single peer, and `return_to`, a URL or path of this app.
        """
        try:
            self._refuse_other_sites(request)
            form = request.form
            if user_id is None:
                return self._not_signed_in(request)
            app = self._app_in(form)
            if request.site == "unknown":
                self._check_settings_form(form, app, user_id)
            return_to = form.get("return_to")
            url = await self._linking.start(user_id, app, return_to=return_to if is_plain(return_to) else None)
        except BadRequestError as error:
            return self._unreadable(error, as_json=request.is_json)
        except CrossAppError as error:
            return self._failed_at_start(error, request)
        return json_response({"url": url}) if request.is_json else redirect(url)

    async def read_request(self, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Take over a token that comes in the URL; without one, ask the person who is signed in to confirm.
        """
        if tokens := request.parameters("token"):
            return self._take_over(tokens)
        ticket = None
        try:
            ticket = self._seals.ticket_in(request)
            self._refuse_expired(ticket)
            if user_id is None:
                return self._to_sign_in(CONFIRM_PATH)
            prospect = await self._prospect(ticket.token, user_id)
            if prospect.is_used:
                raise LinkTokenError("replayed", "the token was used before")
            if prospect.conflict is not None:
                raise prospect.conflict
        except CrossAppError as error:
            return await self._failed(error, ticket, user_id)
        return self._question(ticket, prospect)

    async def confirm(self, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Do what the person decided, `confirm` or `decline`, and lead them back.
        """
        ticket = None
        try:
            self._refuse_other_sites(request)
            form = request.form
            ticket = self._seals.ticket_in(request)
            self._refuse_expired(ticket)
            if user_id is None:
                return self._to_sign_in(CONFIRM_PATH)
            self._check_form(form, ticket, user_id)
            decision = form.get("decision")
            if decision not in ("confirm", "decline"):
                raise BadRequestError(422, "decision", "Choose one of the two buttons.")
            if decision == "confirm":
                await self._linking.confirm(ticket.token, user_id)
        except BadRequestError as error:
            return self._unreadable(error, way=CONFIRM_PATH)
        except CrossAppError as error:
            return await self._failed(error, ticket, user_id)
        outcome = "linked" if decision == "confirm" else "declined"
        return redirect(self._back(ticket.token, outcome), {"Set-Cookie": self._seals.no_cookie})

    async def settings(self, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Show the person who is signed in what is linked, with a button for each peer.
        """
        told = next((value for value in request.parameters(PARAMETER) if value in texts.TOLD), "")
        if user_id is None:
            return self._to_sign_in(telling(SETTINGS_PATH, told) if told else SETTINGS_PATH)
        try:
            overview = await self._overview(user_id)
        except CrossAppError as error:
            return await self._failed(error, None, user_id)
        links = {link.app: link for link in overview.links}
        peers = self._settings.peers.values()
        rows = [self._row(peer, links.get(peer.app_id), overview) for peer in peers]
        content = {
            "told": texts.TOLD.get(told),
            "just_linked": told == "linked",  # in the peer, from where the news may still be on its way
            "ours": texts.shown(overview.user),
            "peers": rows,
        }
        return self._page("settings.html", content, leads_on=True)

    async def unlink(self, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Unlink the account of the person who is signed in from that in the peer that the form names.
        """
        try:
            self._refuse_other_sites(request)
            form = request.form
            if user_id is None:
                return self._to_sign_in(SETTINGS_PATH)
            app = self._app_in(form)
            self._check_settings_form(form, app, user_id)
            await self._linking.unlink(user_id, app)
        except BadRequestError as error:
            return self._unreadable(error)
        except CrossAppError as error:
            return await self._failed(error, None, user_id)
        return redirect(telling(SETTINGS_PATH, "unlinked"))

    def respond_sync(self, path: str, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Do as `respond` does, in sync code.
        """
        return run_sync(self.respond(path, request, user_id))

    def start_link_sync(self, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Do as `start_link` does, in sync code.
        """
        return run_sync(self.start_link(request, user_id))

    def read_request_sync(self, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Do as `read_request` does, in sync code.
        """
        return run_sync(self.read_request(request, user_id))

    def confirm_sync(self, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Do as `confirm` does, in sync code.
        """
        return run_sync(self.confirm(request, user_id))

    def settings_sync(self, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Do as `settings` does, in sync code.
        """
        return run_sync(self.settings(request, user_id))

    def unlink_sync(self, request: LinkRequest, user_id: str | None) -> LinkResponse:
        """
        Do as `unlink` does, in sync code.
        """
        return run_sync(self.unlink(request, user_id))

    def _take_over(self, tokens: list[str]) -> LinkResponse:
        try:
            token = self._linking.check(tokens[0] if len(tokens) == 1 else None)
        except LinkTokenError as error:
            return self._refused(error)
        if not is_plain(token.return_to):
            token = replace(token, return_to=None)  # it leads nowhere anyway, and a cookie is small
        ticket = Ticket(token, secrets.token_urlsafe(24))
        return redirect(CONFIRM_PATH, {"Set-Cookie": self._seals.cookie_for(ticket)})

    def _row(self, peer: Peer, link: Link | None, overview: Overview) -> Mapping[str, object]:
        return {
            "app": peer.app_id,
            "name": texts.name_of(peer),
            "link": link,
            "theirs": texts.shown_link(link) if link else "",
            "method": texts.method_of(link) if link else "",
            "was_linked": peer.app_id in overview.former,
            "can_start": bool(peer.web_url) and peer.is_signing,
            "csrf": self._form_token(peer.app_id, SETTINGS_PATH, peer.app_id, overview.user.id),
        }
