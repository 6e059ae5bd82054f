from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from crossapp_core.events import EVENTS, BundlePurchased, Event
from crossapp_core.testing import strategies

QUICK = settings(phases=[Phase.generate], database=None)
"""Any example will do, it needn't be the simplest."""


class TestEvent:
    @pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.__name__)
    @given(data=st.data())
    def test_every_kind(self, kind: type[Event], data: st.DataObject) -> None:
        """
        There are events of every kind, which go over the wire and back.
        """
        event = data.draw(strategies.event(kind))

        assert type(event) is kind
        assert kind.from_wire(event.to_wire()) == event

    @given(strategies.event(BundlePurchased, product_id=st.just("course"), buyer_email=st.just("Ada@Example.com")))
    def test_given_fields(self, sale: BundlePurchased) -> None:
        """
        Some fields can be given.
        """
        assert (sale.product_id, sale.buyer_email) == ("course", "ada@example.com")

    def test_optional_fields(self) -> None:
        """
        What may be absent is absent at times, and what may be there is.
        """
        sales = strategies.event(BundlePurchased)

        assert find(sales, lambda sale: sale.buyer_email is None, settings=QUICK).buyer_email is None
        assert find(sales, lambda sale: bool(sale.quiet), settings=QUICK).quiet


def test_public_names() -> None:
    """
    What the module offers is sorted, documented by its type, and there.
    """
    names: Mapping[str, Any] = vars(strategies)

    assert strategies.__all__ == sorted(strategies.__all__)
    assert all(name in names for name in strategies.__all__)
