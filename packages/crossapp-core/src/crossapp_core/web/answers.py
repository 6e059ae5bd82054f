"""
What the pages of account linking answer, and what they refuse.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from crossapp_core.apps import Peer
from crossapp_core.errors import CrossAppError, LinkConflictError, LinkTokenError
from crossapp_core.operations import prospects
from crossapp_core.operations.link_rows import Pair
from crossapp_core.operations.prospects import Overview, Prospect
from crossapp_core.tokens import LEEWAY, LinkToken
from crossapp_core.web import texts
from crossapp_core.web.cookies import Match, Seals, Ticket
from crossapp_core.web.rendering import Templates, problem, redirect
from crossapp_core.web.requests import BadRequestError, LinkRequest, LinkResponse
from crossapp_core.web.returns import SETTINGS_PATH, landing, telling

if TYPE_CHECKING:
    from crossapp_core.linking import Linking

log = logging.getLogger(__name__)

CONFIRM_PATH = "/account-link/confirm"

_USUAL = {"expired", "not_yet_valid", "replayed", "session", "subject"}
_OVER = {"expired", "replayed"}
_OLD_FORM = "This form is an old one, or it didn’t come from this site. Nothing was changed."
_SETTINGS_WAY = ("Your linked accounts", SETTINGS_PATH)


class LinkAnswers:
    """
    Base of `LinkPages`.
    """

    def __init__(
        self, linking: Linking, *, sign_in_url: str = "/sign-in", next_parameter: str = "next", effect: str = ""
    ) -> None:
        self._linking = linking
        self._settings = linking.app.settings
        self._seals = Seals(self._settings)
        self._here = self._settings.display_name
        self._templates = Templates(self._here)
        self._sign_in_url, self._next = sign_in_url, next_parameter
        self._effect = effect

    async def _prospect(self, token: LinkToken, user_id: str) -> Prospect:
        prospect: Prospect = await self._linking.do(prospects.of, Pair(user_id, token.issuer, token.user_id), token.id)
        return prospect

    async def _overview(self, user_id: str) -> Overview:
        overview: Overview = await self._linking.do(prospects.overview, user_id)
        return overview

    def _refuse_expired(self, ticket: Ticket) -> None:
        if ticket.token.expires_at + LEEWAY <= self._linking.app.clock():
            raise LinkTokenError("expired", "the token has expired while the person decided")

    def _refuse_other_sites(self, request: LinkRequest) -> None:
        if request.site == "other":
            raise BadRequestError(403, "cross-site", "This form was sent by another site. Nothing was changed.")

    def _check_form(self, form: Mapping[str, str], ticket: Ticket, user_id: str) -> None:
        match self._match(form, ticket.token.issuer, *_subjects(ticket, user_id)):
            case Match.WRONG:
                raise BadRequestError(403, "csrf", _OLD_FORM)
            case Match.OTHER:
                raise LinkTokenError("session", "the page was made for another person or browser")
            case Match.RIGHT:
                pass

    def _check_settings_form(self, form: Mapping[str, str], app: str, user_id: str) -> None:
        if self._match(form, app, SETTINGS_PATH, app, user_id) is not Match.RIGHT:
            raise BadRequestError(403, "csrf", _OLD_FORM)

    def _match(self, form: Mapping[str, str], app: str, *subjects: str) -> Match:
        return self._seals.match(form.get("csrf", ""), app, *subjects, now=self._linking.app.clock())

    def _form_token(self, app: str, *subjects: str) -> str:
        return self._seals.form_token(app, *subjects, now=self._linking.app.clock())

    def _app_in(self, form: Mapping[str, str]) -> str:
        peers = self._settings.peers
        app = form.get("app") or (next(iter(peers)) if len(peers) == 1 else "")
        if app not in peers:
            raise BadRequestError(422, "unknown-peer", "There is no such app to link an account with.")
        return app

    def _back(self, token: LinkToken, outcome: str) -> str:
        return telling(landing(self._settings.peer(token.issuer), token.return_to), outcome)

    def _to_sign_in(self, next_path: str) -> LinkResponse:
        mark = "&" if "?" in self._sign_in_url else "?"
        return redirect(f"{self._sign_in_url}{mark}{urlencode({self._next: next_path}, safe='/')}")

    def _not_signed_in(self, request: LinkRequest) -> LinkResponse:
        if request.is_json:
            return problem(401, "not-signed-in", "Sign in first.")
        return self._to_sign_in(SETTINGS_PATH)

    def _question(self, ticket: Ticket, prospect: Prospect) -> LinkResponse:
        token, user = ticket.token, prospect.user
        peer = self._settings.peer(token.issuer)
        names = {
            "here": self._here,
            "there": texts.name_of(peer),
            "ours": texts.shown(user),
            "theirs": texts.shown_token(token),
        }
        content = {
            **names,
            "effect": self._effect.format(**names),
            "is_linked": prospect.is_linked,
            "differ": texts.differ(token, user),
            "csrf": self._form_token(peer.app_id, *_subjects(ticket, user.id)),
        }
        return self._page("confirm.html", content, leads_on=True)

    def _page(
        self,
        template: str,
        content: Mapping[str, object],
        *,
        status: int = 200,
        leads_on: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> LinkResponse:
        # Chromium holds form-action against all redirects that follow, and a peer's sign-in page may be anywhere
        schemes = ("https:", "http:") if self._settings.dev else ("https:",)
        targets = schemes if leads_on else ()
        return self._templates.page(template, content, status=status, form_targets=targets, headers=headers)

    def _message(
        self,
        status: int,
        heading: str,
        sentences: Collection[str],
        *ways: tuple[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> LinkResponse:
        content = {"heading": heading, "sentences": sentences, "ways": ways}
        return self._page("message.html", content, status=status, headers=headers)

    def _unreadable(
        self,
        error: BadRequestError,
        *,
        way: str = SETTINGS_PATH,
        as_json: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> LinkResponse:
        log.info("a request to link accounts was refused: %s", error.code)
        if as_json:
            return problem(error.status, error.code, error.sentence, headers)
        heading = texts.heading_of_status(error.status)
        text = "Your linked accounts" if way == SETTINGS_PATH else "Open the page again"
        return self._message(error.status, heading, [error.sentence], (text, way), headers=headers)

    def _failed_at_start(self, error: CrossAppError, request: LinkRequest) -> LinkResponse:
        _note(error)
        sentence = error.sentence(self._here) if isinstance(error, LinkTokenError) else texts.LATER
        if request.is_json:
            return problem(error.status, error.code, sentence, reason=getattr(error, "reason", error.code))
        return self._message(error.status, texts.heading_of(error), [sentence], _SETTINGS_WAY)

    async def _failed(self, error: CrossAppError, ticket: Ticket | None, user_id: str | None) -> LinkResponse:
        _note(error)
        heading, back = texts.heading_of(error), self._way_back(ticket, "failed")
        if isinstance(error, LinkConflictError) and ticket and user_id:
            prospect = await self._prospect(ticket.token, user_id)
            there = texts.name_of(self._settings.peer(ticket.token.issuer))
            sentences = texts.conflict(error, ticket.token, prospect.user, here=self._here, there=there)
            ways = (_SETTINGS_WAY, back) if error.ours else (back, _SETTINGS_WAY)
            return self._message(error.status, heading, sentences, *ways)
        if not isinstance(error, LinkTokenError):
            way = ("Try again", CONFIRM_PATH) if ticket else _SETTINGS_WAY
            return self._message(error.status, heading, [texts.LATER], way)
        sentences = [error.sentence(self._origin(ticket))]
        # a page that was made for another person says nothing against the link that the browser has now
        is_over = ticket is None or error.reason in _OVER
        if error.reason == "replayed" and ticket and user_id:
            prospect = await self._prospect(ticket.token, user_id)
            if prospect.is_linked:
                sentences, back = ["The two accounts are linked."], self._way_back(ticket, "linked")
        forget = {"Set-Cookie": self._seals.no_cookie} if is_over else {}
        return self._message(error.status, heading, sentences, back, headers=forget)

    def _refused(self, error: LinkTokenError) -> LinkResponse:
        _note(error)
        sentence = error.sentence(self._origin(None))
        return self._message(error.status, texts.heading_of(error), [sentence], self._way_back(None, "failed"))

    def _origin(self, ticket: Ticket | None) -> str:
        peer = self._only_peer(ticket)
        return texts.name_of(peer) if peer else "the app where you began"

    def _way_back(self, ticket: Ticket | None, outcome: str) -> tuple[str, str]:
        peer = self._only_peer(ticket)
        if peer is None or not (ticket or peer.web_url):
            return (_SETTINGS_WAY[0], telling(SETTINGS_PATH, outcome))
        url = telling(landing(peer, ticket.token.return_to if ticket else None), outcome)
        return (f"Back to {texts.name_of(peer)}", url)

    def _only_peer(self, ticket: Ticket | None) -> Peer | None:
        if ticket:
            return self._settings.peer(ticket.token.issuer)
        peers = self._settings.peers
        return next(iter(peers.values())) if len(peers) == 1 else None


def _subjects(ticket: Ticket, user_id: str) -> tuple[str, ...]:
    return (CONFIRM_PATH, ticket.nonce, ticket.token.id, user_id)


def _note(error: CrossAppError) -> None:
    # nothing but codes: messages may hold ids
    if isinstance(error, LinkTokenError):
        level = logging.INFO if error.reason in _USUAL else logging.WARNING
        log.log(level, "a link token was refused: %s", error.reason)
    elif isinstance(error, LinkConflictError):
        log.info("a link was refused: one of the accounts is linked already")
    else:
        log.error("a link couldn't be made: %s: %s", type(error).__name__, error)
