from __future__ import annotations

import pytest
from pydantic import ValidationError

from crossapp_core import events
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.events import (
    Event,
)


class TestOwnKinds:
    @pytest.mark.parametrize(
        "name", ["a", "shop/sold", "Shop.v2/sold_out-now", "x" * 128, "inngestion/x", "a/inngest/b"]
    )
    def test_takes_names(self, name: str) -> None:
        """
        An app may make events of its own, under any name that Inngest has no use for.
        """
        kind = type("Own", (Event,), {"name": name, "identity": (), "__module__": __name__})

        assert kind(source_app="a").event_id() == f"{name}:a:a0"

    @pytest.mark.parametrize(
        "name",
        [
            *(
                "inngest/x",
                "INNGEST/x",
                "Inngest/function.failed",
                "",
                "\n",
                "a\n",
                "a\nb",
                "a b",
                "x" * 129,
                "x" * 600,
            ),
            *("/a", "a/", "a//b", "a:b", "ä", "\u017fhop/sold", "\u212a/x", "a\0", None, 7),
        ],
        ids=ascii,
    )
    def test_refuses_names(self, name: object) -> None:
        """
        A name that Inngest has a use for, or that isn't one, is refused as soon as the class is made.
        """
        with pytest.raises(CrossAppConfigError, match=r"1 problem with the event Own\n  name must be 1 to 128"):
            type("Own", (Event,), {"name": name, "identity": (), "__module__": __name__})

    def test_needs_name_and_identity(self) -> None:
        """
        What an event can't be sent without is asked for, all of it at once.
        """
        with pytest.raises(CrossAppConfigError, match="2 problems with the event Nameless"):

            class Nameless(Event):
                pass

        with pytest.raises(CrossAppConfigError, match=r"identity must list .* among source_app, order_id"):

            class Unidentified(Event):
                name = "shop/sold"
                identity = ("order",)
                order_id: str

        with pytest.raises(CrossAppConfigError, match="the field proof must have another name"):

            class Proof(Event):
                name = "shop/sold"
                identity = ()
                proof: str

    def test_values_fit_the_wire(self) -> None:
        """
        Whatever fields it has, an event that could not be sent as it is can't be made.
        """

        class Sold(Event):
            name = "shop/sold"
            identity = ("order_id",)
            order_id: object
            lines: object = None

        fine = Sold(source_app="shop", order_id=7, lines=["ä\n", True, None, 2**53 - 1])
        assert fine.to_wire() == {"sourceApp": "shop", "orderId": 7, "lines": ["ä\n", True, None, 2**53 - 1]}
        nan, inf = float("nan"), float("inf")
        refused: list[object] = [1.5, nan, inf, 2**53, -(2**53), {"a": 1}, [[1]], [{}], [1.5], [nan]]
        for value in refused:
            with pytest.raises(ValidationError, match="lines: an event holds"):
                Sold(order_id="1", lines=value)

    def test_size(self) -> None:
        """
        An event has at most 200 kB of JSON, counted in bytes.
        """

        class Noted(Event):
            name = "shop/noted"
            identity = ()
            notes: list[str]

        assert Noted(notes=["x" * 199_986]).notes
        for notes in (["x" * 199_987], ["ü" * 100_000], ["\0" * 40_000], ["x"] * 60_000):
            with pytest.raises(ValidationError, match=r"the event has 2[0-9]{5} bytes, at most 200000 are allowed"):
                Noted(notes=notes)

    def test_optional_identity_is_no_word(self) -> None:
        """
        A missing part of the identity is not taken for the text "None".
        """

        class Sold(Event):
            name = "shop/sold"
            identity = ("order_id", "sold_at")
            order_id: str | None
            sold_at: events.Time | None = None

        assert Sold(source_app="a", order_id=None).event_id() == "shop/sold:a:::a0"
        assert Sold(source_app="a", order_id="None").event_id() == "shop/sold:a:None::a0"
