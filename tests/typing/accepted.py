"""
What people write: both type checkers take it, and know the type of each field.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, assert_type

import inngest
from fastapi import FastAPI
from pydantic import SecretStr

import crossapp_ah as ah
import crossapp_tt as tt
from crossapp_ah.ports import OnClaimed
from crossapp_core import CrossAppConfigError, EventRejectedError, Peer, Settings
from crossapp_core.events import (
    JSON,
    AccountLinked,
    AccountLinkState,
    AccountUnlinked,
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
    Event,
    Id,
    UserOAuthLogin,
    parse,
    parse_as,
)
from crossapp_core.outcomes import Message, Outcome
from crossapp_core.web import LinkPages, LinkRequest, LinkResponse

NOW = datetime(2026, 1, 1, tzinfo=UTC)

purchased = BundlePurchased(purchase_id="pur_1", product_id="prod_9", buyer_email="ada@example.com", version=1)
assert_type(purchased.purchase_id, str)
assert_type(purchased.buyer_email, str | None)
assert_type(purchased.purchased_at, datetime | None)
assert_type(purchased.quiet, bool | None)
assert_type(purchased.version, int)
assert_type(purchased.source_app, str | None)
assert_type(purchased.name, str)
assert_type(purchased.event_id(attempt=1, answers="e1"), str)
assert_type(purchased.to_wire(), dict[str, JSON])

granted = EntitlementGranted(
    source_app="ai-hero",
    source_purchase_id="pur_1",
    product_id="prod_9",
    entitlement_id="ent_1",
    status="active",
    version=1,
)
assert_type(granted.status, Literal["active", "pending"])
assert_type(granted.user_id, str | None)

revoke = EntitlementRevoke(purchase_id="pur_1", product_id="prod_9", reason="refunded", version=2)
assert_type(revoke.reason, Literal["refunded", "disputed", "transferred", "manual"])

revoked = EntitlementRevoked(source_purchase_id="pur_1", product_id="prod_9", version=2)
assert_type(revoked.entitlement_id, str | None)

failed = EntitlementFailed(source_purchase_id="p", product_id="q", code="user-gone", message="No user.", version=1)
assert_type((failed.code, failed.message), tuple[str, str])

linked = AccountLinked(
    user_id="u1", linked_app="ai-hero", linked_user_id="u2", link_method="oauth-github", linked_at=NOW, version=1
)
assert_type(linked.linked_at, datetime)

unlinked = AccountUnlinked(user_id="u1", linked_app="ai-hero", linked_user_id="u2", unlinked_at=NOW, version=2)
assert_type(unlinked.unlinked_at, datetime)

state = AccountLinkState(
    user_id="u1", linked_app="ai-hero", linked_user_id="u2", link_method="explicit", version=3, source_app="ai-hero"
)
assert_type(state.link_method, str)

login = UserOAuthLogin(user_id="u1", provider="github", provider_account_id="1234", logged_in_at=NOW)
assert_type(login.email, str | None)


class SeatSold(Event):
    """
    An event of an app's own.
    """

    name = "seat/sold"
    identity = ("seat_id",)

    seat_id: Id
    row: int = 1


assert_type(SeatSold(seat_id="s1").row, int)


def handle(envelope: inngest.Event, raw: Mapping[str, object]) -> str:
    """
    Read what Inngest hands over, by kind.
    """
    assert_type(parse(raw), Event)
    assert_type(parse_as(SeatSold, envelope.data), SeatSold)
    assert_type(BundlePurchased.from_wire(envelope.data), BundlePurchased)
    match parse(envelope):
        case BundlePurchased(purchase_id=purchase_id, linked_user_id=user_id):
            assert_type(user_id, str | None)
            return purchase_id
        case EntitlementGranted() as event:
            return event.entitlement_id
    raise EventRejectedError("event", "another one")


def configure() -> Settings:
    """
    Settings in code and from the environment.
    """
    peer = Peer(app_id="ai-hero", event_key="key", secret=SecretStr("secret"), return_to_origins=["https://a.example"])
    assert_type(peer.event_key, SecretStr)
    assert_type(peer.previous_secret, SecretStr | None)
    assert_type(peer.return_to_origins, tuple[str, ...])
    try:
        settings = Settings("total-typescript", [peer], dev=True)
    except CrossAppConfigError as error:
        assert_type(error.problems, tuple[str, ...])
        return Settings.from_env("total-typescript", peers={"ai-hero": "AI_HERO"})
    assert_type(settings.peers, Mapping[str, Peer])
    assert_type(settings.peer("ai-hero"), Peer)
    return settings


outcome = Outcome(ids=("1",), changed=True, messages=(Message("ai-hero", purchased),))
assert_type(Outcome.from_json(outcome.to_json()), Outcome)
assert_type(outcome.messages[0].event, Event)


async def link(selling: tt.Bridge, granting: ah.Bridge) -> None:
    """
    What an app's own pages do to link accounts.
    """
    url = await selling.linking.start("u1", "ai-hero", return_to="https://shop.example/settings")
    assert_type(url, str)
    token = granting.linking.check(url)
    assert_type(token.email, str | None)
    assert_type(await granting.linking.confirm(token, "u2"), Outcome)
    links = await granting.linking.links_of("u2")
    assert_type(links[0].linked_email, str | None)
    assert_type(granting.linking.unlink_sync("u2", links[0].app), Outcome)


def signed_in() -> str | None:
    """
    An app's own dependency.
    """
    return None


def pages(app: FastAPI, selling: tt.Bridge, granting: ah.Bridge) -> None:
    """
    How an app mounts the pages of account linking, and what another framework does instead.
    """
    app.include_router(selling.router(signed_in))
    app.include_router(granting.router(signed_in, sign_in_url="/login?theme=dark", next_parameter="back"))
    answers = selling.link_pages(sign_in_url="/login")
    assert_type(answers, LinkPages)
    request = LinkRequest("POST", "a=b", {"Cookie": "c=d"}, b"e=f")
    response = answers.confirm_sync(request, "u1")
    assert_type(response, LinkResponse)
    assert_type((response.status, response.headers, response.body), tuple[int, Mapping[str, str], bytes])


def tell(claimed: ah.Claimed) -> None:
    """
    A hook of a granter, here a plain function.
    """
    assert_type(claimed.product_ids, tuple[str, ...])


async def tell_later(claimed: ah.Claimed) -> None:
    """
    A hook of a granter, here an async one.
    """


hooks: list[OnClaimed] = [tell, tell_later]
