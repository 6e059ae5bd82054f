from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import inngest
import pytest

from crossapp_core import proofs
from crossapp_core.apps import Peer, Settings
from crossapp_core.errors import EventRejectedError
from crossapp_core.events import AccountLinked, BundlePurchased, EntitlementRevoke, Event, UserOAuthLogin
from tests.wire.recordings import GRANTER, SELLER, SKETCHED, kind_of, recording, settings

SENT_BY_SELLERS = {"bundle/purchased", "entitlement/revoke"}
SENT_BY_GRANTERS = {"entitlement/granted", "entitlement/revoked"}
SENT_BY_BOTH = {"account/linked", "user/oauth-login"}

BOUGHT: dict[str, Any] = {
    "purchase_id": "pur_1",
    "product_id": "prod_9",
    "buyer_email": "ada@example.com",
    "version": 1,
}
REVOKED: dict[str, Any] = {"purchase_id": "pur_1", "reason": "refunded", "version": 2}
LINKED: dict[str, Any] = {
    "source_app": SELLER,
    "user_id": "user_1",
    "linked_app": GRANTER,
    "linked_user_id": "member_1",
}
LAST_SUMMER, LONG_AGO = datetime(2026, 8, 31, 23, 59, 59, 999_000, UTC), datetime(1970, 1, 1, tzinfo=UTC)
MEANT: dict[str, Event] = {
    "bundle-purchased.sketch": BundlePurchased(source_app=SELLER, **BOUGHT),
    "bundle-purchased.linked": BundlePurchased(source_app=SELLER, linked_user_id="member_1", **BOUGHT),
    "bundle-purchased.not-linked": BundlePurchased(source_app=SELLER, **BOUGHT),
    "entitlement-revoke.sketch": EntitlementRevoke(source_app=SELLER, **REVOKED),
    "entitlement-revoke.product": EntitlementRevoke(source_app=SELLER, product_id="prod_9", **REVOKED),
    "entitlement-revoke.other-reason": EntitlementRevoke(source_app=SELLER, **{**REVOKED, "reason": "manual"}),
    "account-linked.sketch": AccountLinked(
        email="ada@example.com", link_method="oauth-github", linked_at=LAST_SUMMER, version=1, **LINKED
    ),
    "account-linked.explicit": AccountLinked(link_method="explicit", linked_at=LONG_AGO, version=3, **LINKED),
    "user-oauth-login.sketch": UserOAuthLogin(
        source_app=SELLER,
        user_id="user_1",
        email="ada@example.com",
        provider="github",
        provider_account_id="1234",
        logged_in_at=LAST_SUMMER,
    ),
}
"""What a seller that is written after the sketch has sent, as we understand it."""
REFUSED = {"bundle-purchased.no-product"}


def sketched(name: str) -> inngest.Event:
    """
    A recording of a sketch peer.
    """
    return recording(f"sketch/{name}")


def read(name: str, settings: Settings, **changes: Any) -> Event:
    """
    What the app with those settings makes of a recording, with some of its data changed.
    """
    envelope = sketched(name)
    changed = envelope.model_copy(update={"data": {**envelope.data, **changes}})
    return proofs.read(kind_of(name), changed, settings=settings)


class TestSketchSeller:
    @pytest.mark.parametrize("name", MEANT)
    def test_accepted(self, name: str) -> None:
        """
        A sketch seller says neither who it is nor a version, and signs nothing: it is understood all the same.
        """
        assert read(name, settings(GRANTER, sketch=True)) == MEANT[name]

    @pytest.mark.parametrize("name", MEANT)
    def test_more_than_the_sketch(self, name: str) -> None:
        """
        What it says besides, who it is above all, changes nothing; a version of its own isn't one of ours.
        """
        more = {"sourceApp": SELLER, "version": 99, "bundleName": "Everything", "amount": 1.5, "items": [{"id": 1}]}

        assert read(name, settings(GRANTER, sketch=True), **more) == MEANT[name]

    @pytest.mark.parametrize("name", MEANT)
    def test_of_a_library_peer(self, name: str) -> None:
        """
        The same is refused where the peer isn't said to be a sketch peer, with its name in it or without.
        """
        library = settings(GRANTER)

        with pytest.raises(EventRejectedError, match=r"^source: sourceApp … is no peer"):
            read(name, library)
        with pytest.raises(EventRejectedError, match=r"^signature: the event has no proof"):
            read(name, library, sourceApp=SELLER)

    @pytest.mark.parametrize("name", MEANT)
    def test_of_another_app(self, name: str) -> None:
        """
        It is refused if it says to be of an app that is no peer, or of this one.
        """
        sketch = settings(GRANTER, sketch=True)

        with pytest.raises(EventRejectedError, match=r"^source: sourceApp 'epic-web' is no peer"):
            read(name, sketch, sourceApp="epic-web")
        with pytest.raises(EventRejectedError, match=r"^target: our own .* came back"):
            read(name, sketch, sourceApp=GRANTER)

    @pytest.mark.parametrize("name", MEANT)
    def test_beside_a_library_peer(self, name: str) -> None:
        """
        Where there is another peer it must say who it is, and it can't be taken for the other one.
        """
        other = Peer(app_id="epic-web", event_key="key", secret="the secret of another seller and of the granter")
        two = Settings(GRANTER, [*settings(GRANTER, sketch=True).peers.values(), other])

        assert read(name, two, sourceApp=SELLER) == MEANT[name]
        with pytest.raises(EventRejectedError, match=r"^source: sourceApp … is no peer"):
            read(name, two)
        with pytest.raises(EventRejectedError, match=r"^signature: the event has no proof"):
            read(name, two, sourceApp="epic-web")

    @pytest.mark.parametrize("absent", [{}, {"productId": None}, {"productId": ""}], ids=str)
    def test_sale_of_no_product(self, absent: dict[str, object]) -> None:
        """
        A sale that doesn't say of which product of ours is refused, and the message names what is missing.
        """
        with pytest.raises(EventRejectedError, match=r"^schema: .*productId") as caught:
            read("bundle-purchased.no-product", settings(GRANTER, sketch=True), **absent)

        assert "ada@" not in str(caught.value)
        assert "total-typescript" in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "field", "value"),
        [
            ("bundle-purchased.sketch", "purchaseId", 7),
            ("bundle-purchased.sketch", "purchaseId", None),
            ("bundle-purchased.sketch", "productId", ["prod_9"]),
            ("bundle-purchased.sketch", "buyerEmail", "ada@example.com@example.com"),
            ("entitlement-revoke.sketch", "purchaseId", ""),
            ("entitlement-revoke.product", "productId", ""),
            ("account-linked.explicit", "linkedUserId", ""),
            ("account-linked.explicit", "linkMethod", "email"),
            ("account-linked.sketch", "userId", None),
            ("user-oauth-login.sketch", "provider", "Git Hub"),
            ("user-oauth-login.sketch", "providerAccountId", 1234),
        ],
    )
    def test_wrong_values(self, name: str, field: str, value: object) -> None:
        """
        What the sketch does say must be right.
        """
        with pytest.raises(EventRejectedError, match=rf"^schema: .*{field}") as caught:
            read(name, settings(GRANTER, sketch=True), **{field: value})

        assert "ada@" not in str(caught.value)


class TestRecordings:
    def test_each_event_of_the_sketch(self) -> None:
        """
        Each event of the sketch is recorded in its barest form, and for each of a seller it is said what it means.
        """
        bare = {sketched(name).name for name in SKETCHED if name.endswith(".sketch")}
        of_sellers = {name for name in SKETCHED if sketched(name).name in SENT_BY_SELLERS | SENT_BY_BOTH}

        assert bare == SENT_BY_SELLERS | SENT_BY_GRANTERS | SENT_BY_BOTH
        assert of_sellers == MEANT.keys() | REFUSED

    @pytest.mark.parametrize("name", SKETCHED)
    def test_is_the_sketch(self, name: str) -> None:
        """
        None holds what only this library sends, and all come from the one peer that there is.
        """
        envelope = sketched(name)
        receiver = SELLER if envelope.name in SENT_BY_GRANTERS else GRANTER
        peer, data = proofs.authenticate(kind_of(name), envelope, settings=settings(receiver, sketch=True))

        assert {peer.app_id, receiver} == {SELLER, GRANTER}
        assert data == envelope.data
        assert not data.keys() & {"sourceApp", "version", "proof"}
