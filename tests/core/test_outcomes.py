from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossapp_core.events import Event
from crossapp_core.outcomes import Message, Outcome
from crossapp_core.testing import strategies
from tests.core.samples import purchased

MESSAGE = Message("ai-hero", purchased(buyer_email="ada@example.com"), 2, "e1")

messages = st.builds(
    Message, strategies.app_ids, strategies.events, st.integers(0, 1000), strategies.optional(strategies.ids)
)
outcomes = st.builds(
    Outcome,
    st.lists(strategies.ids, max_size=3).map(tuple),
    st.booleans(),
    st.lists(messages, max_size=3).map(tuple),
)


class TestMessage:
    @given(messages)
    def test_round_trip(self, message: Message) -> None:
        """
        A message is the same after it was the result of a step.
        """
        assert Message.from_json(json.loads(json.dumps(message.to_json()))) == message

    def test_json(self) -> None:
        """
        What Inngest keeps of a message stays readable for the next version.
        """
        assert MESSAGE.to_json() == {
            "target": "ai-hero",
            "name": "bundle/purchased",
            "data": {
                "purchaseId": "pur_1",
                "productId": "prod_9",
                "buyerEmail": "ada@example.com",
                "version": 1_789_000_000_000,
            },
            "attempt": 2,
            "answers": "e1",
        }

    def test_shows_no_address(self) -> None:
        """
        A message shows no more of an address than its event does.
        """
        assert "ada@" not in repr(MESSAGE)

    @pytest.mark.parametrize(
        "change",
        [{"target": None}, {"name": "bundle/sold"}, {"name": []}, {"data": []}, {"attempt": "1"}, {"answers": 1}],
    )
    def test_refuses_what_is_none(self, change: dict[str, object]) -> None:
        """
        What another version may have written differently is refused, not guessed at.
        """
        with pytest.raises(ValueError, match="is no message: did another version write it"):
            Message.from_json({**MESSAGE.to_json(), **change})

    def test_refuses_less(self) -> None:
        """
        A message of which something is missing is none.
        """
        for key in MESSAGE.to_json():
            less = {name: value for name, value in MESSAGE.to_json().items() if name != key}
            with pytest.raises(ValueError, match="is no message"):
                Message.from_json(less)


class TestOutcome:
    @given(outcomes)
    def test_round_trip(self, outcome: Outcome) -> None:
        """
        An outcome is the same after it was the result of a step.
        """
        assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome

    @given(strategies.events)
    def test_is_a_value(self, event: Event) -> None:
        """
        Equal outcomes are one in a set.
        """
        assert len({Outcome(messages=(Message("a", event),)), Outcome(messages=(Message("a", event),))}) == 1

    @pytest.mark.parametrize(
        "content", [{}, {"ids": [], "changed": 1, "messages": []}, {"ids": None, "changed": True, "messages": []}]
    )
    def test_refuses_what_is_none(self, content: dict[str, object]) -> None:
        """
        What is no outcome is refused.
        """
        with pytest.raises(ValueError, match="is no outcome: did another version write it"):
            Outcome.from_json(content)
