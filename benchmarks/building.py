"""
Building an event and writing it as JSON, against a bare pydantic model of the same fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from benchmarks.apps import GRANTER, SELLER, signing_settings
from benchmarks.measuring import OURS, Effort, Line, Note, race, repeat, shown
from crossapp_core import proofs
from crossapp_core.events import BundlePurchased

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PEER = "a bare pydantic model"
REQUIRED: dict[str, Any] = {
    "source_app": SELLER,
    "purchase_id": "pur_7Hq2LkWb90xZ",
    "product_id": "prod_9",
    "buyer_email": "ada@example.com",
    "version": 1_789_000_000_000,
}
"""The sale that the quickstart sends."""
FULL: dict[str, Any] = {
    **REQUIRED,
    "buyer_user_id": "user_5Tn1",
    "bundle_product_id": "prod_1",
    "purchased_at": NOW,
}
"""The sale that a seller's bridge sends."""


class Bare(BaseModel):
    """
    The fields of a sale, and nothing else.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", alias_generator=to_camel, validate_by_name=True)

    source_app: str | None = None
    purchase_id: str
    product_id: str
    buyer_email: str | None = None
    buyer_user_id: str | None = None
    linked_user_id: str | None = None
    bundle_product_id: str | None = None
    purchased_at: datetime | None = None
    quiet: bool | None = None
    version: int


def lines(effort: Effort) -> Iterator[Line | Note]:
    """
    Unsigned; what the id and the proof cost stands beside.
    """
    for what, fields in (("a sale of 5 fields", REQUIRED), ("a sale of 8 fields", FULL)):
        works = {OURS: repeat(partial(ours, fields)), PEER: repeat(partial(bare, fields))}
        measured = race(works, effort, times=2000)
        yield Line(f"build and serialise {what}", PEER, measured[PEER], measured[OURS], "≤ 1.3")
    settings = signing_settings("http://127.0.0.1:1")
    event = BundlePurchased(**FULL)
    data, id_, key = event.to_wire(), event.event_id(), settings.peer(GRANTER).signing_key
    claims: dict[str, Any] = {"name": event.name, "id": id_, "source": SELLER, "target": GRANTER, "key": key, "iat": 1}
    parts = race(
        {
            "build": repeat(lambda: BundlePurchased(**FULL)),
            "serialise": repeat(lambda: orjson.dumps(event.to_wire())),
            "id": repeat(event.event_id),
            "proof": repeat(lambda: proofs.sign(data, **claims)),
        },
        effort,
        times=1000,
    )
    each = ", ".join(f"{name} {shown(sample.median)}" for name, sample in parts.items())
    yield Note(f"The parts of the larger one, and what comes to them before it is sent: {each}.")


def ours(fields: dict[str, Any]) -> bytes:
    """
    As the client does it.
    """
    return orjson.dumps(BundlePurchased(**fields).to_wire())


def bare(fields: dict[str, Any]) -> str:
    """
    As pydantic does it.
    """
    return Bare(**fields).model_dump_json(by_alias=True, exclude_none=True)
