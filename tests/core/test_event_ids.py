from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossapp_core.events import (
    EVENTS,
    EntitlementRevoked,
    Event,
    UserOAuthLogin,
)
from crossapp_core.testing import strategies
from tests.core.samples import full, purchased


class TestId:
    def test_example(self) -> None:
        """
        The id is the name, source, component, version and attempt.
        """
        event = purchased(source_app="total-typescript", buyer_email="ada@example.com")

        assert event.event_id() == "bundle/purchased:total-typescript:pur_1:prod_9:v1789000000000:a0"
        assert event.event_id(attempt=12) == "bundle/purchased:total-typescript:pur_1:prod_9:v1789000000000:a12"

    def test_without_version(self) -> None:
        """
        What has no version is told apart by its time, as it stands on the wire.
        """
        event = UserOAuthLogin.from_wire(full(UserOAuthLogin))

        assert event.event_id() == "user/oauth-login:total-typescript:u1:github:1234:2026-01-31T12%3A00%3A00.000Z:a0"

    def test_is_percent_encoded(self) -> None:
        """
        No part can reach into the next one.
        """
        event = purchased(source_app="a", purchase_id="p:1/2 %é", product_id="bundle/purchased")

        assert event.event_id() == "bundle/purchased:a:p%3A1%2F2%20%25%C3%A9:bundle%2Fpurchased:v1789000000000:a0"

    def test_answer(self) -> None:
        """
        An ack's id has a digest of the answered event and of its own data, of 16 digits.
        """
        ack = EntitlementRevoked(
            source_app="ai-hero", source_purchase_id="pur_1", product_id="prod_9", entitlement_id="ent_1", version=2
        )
        other = ack.model_copy(update={"entitlement_id": None})
        ids = [
            ack.event_id(),
            ack.event_id(answers="e:a0"),
            ack.event_id(answers="e:a1"),
            ack.event_id(answers="e:a0", attempt=1),
            other.event_id(answers="e:a0"),
        ]

        assert ids[1] == "entitlement/revoked:ai-hero:pur_1:prod_9:v2:a0:b3a30bb22bfa30ef"
        assert len(set(ids)) == 5

    def test_long(self) -> None:
        """
        Up to 200 characters an id is readable, beyond it is the name and a SHA-256.
        """
        fitting = purchased(source_app="a", purchase_id="p" * 161, product_id="q")
        long = purchased(source_app="a", purchase_id="p" * 162, product_id="q")

        assert len(fitting.event_id()) == 200
        assert fitting.event_id() == f"bundle/purchased:a:{'p' * 161}:q:v1789000000000:a0"
        assert long.event_id() == ("bundle/purchased:66114f85baba0c63f28a5bd745c481dd775d1d436c62ac5a94ef2b3519142746")

    @given(strategies.events, strategies.app_ids, st.integers(0, 10**6), st.none() | strategies.ids)
    def test_is_short_ascii(self, event: Event, app: str, attempt: int, answers: str | None) -> None:
        """
        Whatever an event holds, its id begins with its name, is printable ASCII and has at most 200 characters.
        """
        id_ = event.model_copy(update={"source_app": app}).event_id(attempt=attempt, answers=answers)

        assert id_.startswith(f"{event.name}:")
        assert len(id_) <= 200
        assert re.fullmatch("[A-Za-z0-9_.~%:/-]+", id_)

    @pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.__name__)
    @given(data=st.data())
    def test_differs_with_what_it_is_about(self, kind: type[Event], data: st.DataObject) -> None:
        """
        Two events have one id only if source, component, version and attempt are the same.
        """
        source = data.draw(strategies.app_ids)
        one = data.draw(strategies.event(kind)).model_copy(update={"source_app": source})
        other = data.draw(strategies.event(kind))
        fields = ["source_app", *kind.identity, *({"version"} & set(kind.model_fields))]
        changed = data.draw(st.sets(st.sampled_from(fields), min_size=1))
        other = one.model_copy(update={field: getattr(other, field) for field in changed} | {"source_app": source})
        attempts = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))

        same = attempts[0] == attempts[1] and all(getattr(one, field) == getattr(other, field) for field in fields)
        assert (one.event_id(attempt=attempts[0]) == other.event_id(attempt=attempts[1])) is same

    @given(*[st.text(":%/ab", min_size=1, max_size=4)] * 4)
    def test_joins_are_unambiguous(self, purchase: str, product: str, purchase2: str, product2: str) -> None:
        """
        Ids made of the separator itself are told apart.
        """
        one = purchased(source_app="a", purchase_id=purchase, product_id=product)
        other = purchased(source_app="a", purchase_id=purchase2, product_id=product2)

        assert (one.event_id() == other.event_id()) is (one == other)

    def test_needs_source(self) -> None:
        """
        Without the app that sends it an event has no id.
        """
        with pytest.raises(ValueError, match="depends on source_app"):
            purchased().event_id()
