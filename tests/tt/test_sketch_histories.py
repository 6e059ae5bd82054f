from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossapp_core.events import BundlePurchased
from crossapp_core.outcomes import Message, Outcome
from crossapp_tt.operations import sketches
from crossapp_tt.operations.sketches import Answer
from tests.databases import open_database
from tests.hosts import NOW
from tests.tt.shop import SCHOOL, Shop

STEPS = st.lists(
    st.sampled_from(["refund", "buy back", "transfer", "deliver", "deliver last", "drop", "repeat", "hear", "forget"]),
    max_size=14,
)


@dataclass
class SketchSchool:
    """
    A school as the sketch has it: it opens and locks by the purchase's id, and knows no order.
    """

    open: dict[str, str | None] = field(default_factory=dict)
    """The buyer of each purchase that was granted and not revoked."""
    locked: set[str] = field(default_factory=set)

    def hear(self, message: Message) -> Answer:
        """
        Do what an event says, and answer.
        """
        event = message.event
        id_ = str(getattr(event, "purchase_id", ""))
        if isinstance(event, BundlePurchased):
            if id_ not in self.locked:
                self.open[id_] = event.buyer_user_id
            return Answer(SCHOOL, id_, granted=True, entitlement_id=f"ent_{id_}")
        if id_ in self.open:
            self.locked.add(id_)
        self.open.pop(id_, None)
        return Answer(SCHOOL, id_, granted=False)


@dataclass
class World:
    """
    A shop, a school, and what is on its way between them.
    """

    shop: Shop
    school: SketchSchool
    messages: list[Message] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    owner: str | None = "ada"
    clock: int = 0

    def do(self, step: str) -> None:
        """
        Let one thing happen.
        """
        match step:
            case "refund":
                self._change(None, status="Refunded")
            case "buy back":
                self._change("ada", status="Valid", user_id="ada", email="ada@example.com")
            case "transfer" if self.owner:
                self._change("grace", user_id="grace", email="grace@example.com")
            case "deliver" if self.messages:
                self.answers.append(self.school.hear(self.messages.pop(0)))
            case "deliver last" if self.messages:
                self.answers.append(self.school.hear(self.messages.pop()))
            case "drop" if self.messages:
                self.messages.pop(0)
            case "repeat" if self.messages:
                self.messages.append(self.messages[0])
            case "hear" if self.answers:
                self.hear(self.answers.pop(0))
            case "forget" if self.answers:
                self.answers.pop(0)

    def say(self, outcome: Outcome) -> None:
        """
        Send what the shop wants sent.
        """
        self.shop.note_accepted(outcome.messages)
        self.messages += outcome.messages

    def hear(self, answer: Answer) -> None:
        """
        Let the shop hear an answer.
        """
        self.clock += 1
        self.say(self.shop.do(sketches.apply, answer, now=NOW + timedelta(seconds=self.clock)))

    def settle(self) -> None:
        """
        Deliver all, and what is owed again, until nothing is.
        """
        for _ in range(20):
            while self.messages or self.answers:
                self.answers += [self.school.hear(message) for message in self.messages]
                self.messages.clear()
                if self.answers:
                    self.hear(self.answers.pop(0))
            if self.shop.row().next_attempt_at is None:
                return
            self._record()
        msg = "they never come to rest"
        raise AssertionError(msg)

    def _change(self, owner: str | None, **values: str) -> None:
        self.owner = owner
        self.shop.change(**values)
        self._record()

    def _record(self) -> None:
        self.clock += 1
        self.say(self.shop.record(now=NOW + timedelta(seconds=self.clock)))


class TestAnyHistory:
    @given(steps=STEPS)
    @settings(max_examples=150)
    def test_they_agree(self, tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
        """
        However events and answers are lost, repeated and reordered: once all that is owed was sent again, exactly the
        owner of the purchase has access.
        """
        folder = tmp_path_factory.getbasetemp() / "histories"
        folder.mkdir(exist_ok=True)
        with open_database("sqlite", folder) as database:
            world = World(Shop(database, sketches=frozenset({SCHOOL})), SketchSchool())
            world.say(world.shop.sell())
            for step in steps:
                world.do(step)
            world.settle()

            assert list(world.school.open.values()) == ([world.owner] if world.owner else [])
            assert world.shop.row().status == ("synced" if world.owner else "revoked")
