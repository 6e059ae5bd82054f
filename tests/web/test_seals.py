from __future__ import annotations

import json
from datetime import timedelta

import jwt
import pytest

from crossapp_core import LinkTokenError, Settings
from crossapp_core.tokens import LinkToken
from crossapp_core.web import LinkRequest
from crossapp_core.web.cookies import Match, Seals, Ticket
from tests.hosts import NOW, SECRET
from tests.web.sites import SCHOOL, SHOP, peer_of

SUBJECTS = ("/account-link", "ada")
TOKEN = LinkToken(SHOP, "ada", "ada@shop.example", "/settings", "t" * 32, NOW, NOW + timedelta(minutes=10))
TICKET = Ticket(TOKEN, "nonce")


def seals(app_id: str = SCHOOL, peer: str = SHOP, **changed: object) -> Seals:
    """
    What an app signs with the secret that it has with its peer.
    """
    return Seals(Settings(app_id, [peer_of(peer, **changed)], dev=True))


def request(cookie: str) -> LinkRequest:
    """
    A request with that cookie, as it was set.
    """
    return LinkRequest("GET", headers={"COOKIE": cookie.partition(";")[0]})


class TestTicket:
    def test_comes_back(self) -> None:
        """
        What was kept is read again, in another process too.
        """
        assert seals().ticket_in(request(seals().cookie_for(TICKET))) == TICKET

    def test_key_is_not_the_secret(self) -> None:
        """
        Nothing here is signed with the secret itself, which signs other things.
        """
        value = seals().cookie_for(TICKET).partition(";")[0].partition("=")[2]
        with pytest.raises(jwt.InvalidSignatureError):
            jwt.PyJWS().decode(value, SECRET.encode(), algorithms=["HS256"])
        assert jwt.get_unverified_header(value)["typ"] == "crossapp-link-ticket+jwt"

    @pytest.mark.parametrize("change", [{"iss": SCHOOL}, {"iss": "epic-web"}])
    def test_of_another_peer(self, change: dict[str, str]) -> None:
        """
        The secret with one peer keeps no link of another.
        """
        ours = seals()
        name, _, value = ours.cookie_for(TICKET).partition(";")[0].partition("=")
        content = {**json.loads(jwt.utils.base64url_decode(value.split(".")[1])), **change}
        key = ours._key(peer_of(SHOP).signing_key, "crossapp-link-ticket+jwt")
        forged = jwt.PyJWS().encode(json.dumps(content).encode(), key, headers=jwt.get_unverified_header(value))
        with pytest.raises(LinkTokenError, match="session"):
            ours.ticket_in(request(f"{name}={forged}"))

    def test_shows_nothing(self) -> None:
        """
        Neither the nonce nor an address is in what shows a ticket.
        """
        assert "nonce" not in repr(TICKET)
        assert "ada@" not in repr(TICKET)


class TestForm:
    def test_right(self) -> None:
        """
        A form's token is right for its subjects alone, in their order.
        """
        token = seals().form_token(SHOP, *SUBJECTS, now=NOW)
        assert seals().match(token, SHOP, *SUBJECTS, now=NOW) is Match.RIGHT
        for other in ((), SUBJECTS[:1], SUBJECTS[::-1], (*SUBJECTS, ""), ("".join(SUBJECTS),)):
            assert seals().match(token, SHOP, *other, now=NOW) is Match.OTHER

    def test_of_the_other_app(self) -> None:
        """
        What the other app has signed with the same secret is none of ours, whatever its subjects.
        """
        token = seals(SHOP, SCHOOL).form_token(SCHOOL, *SUBJECTS, now=NOW)
        assert seals().match(token, SHOP, *SUBJECTS, now=NOW) is Match.WRONG

    def test_of_a_peer_without_secret(self) -> None:
        """
        A peer that has no secret is unlinked by forms all the same: they are signed with that of another.
        """
        sketch = peer_of(SCHOOL, app_id="epic-web", secret="", sketch=True)
        ours = Seals(Settings(SHOP, [sketch, peer_of(SCHOOL)], dev=True))
        token = ours.form_token("epic-web", *SUBJECTS, now=NOW)
        assert ours.match(token, "epic-web", *SUBJECTS, now=NOW) is Match.RIGHT

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "x" * 10_000, "e30.e30.e30", "bnVsbA.e30."])
    def test_none_of_ours(self, token: str) -> None:
        """
        Whatever else comes is wrong, and nothing fails because of it.
        """
        assert seals().match(token, SHOP, *SUBJECTS, now=NOW) is Match.WRONG
