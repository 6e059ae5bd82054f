"""
What passes between two apps: one frozen model per event.

All text is bounded, so no event comes near Inngest's limits. See `crossapp_core.wire` for what they have in common.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from crossapp_core.errors import EventRejectedError
from crossapp_core.wire import (
    JSON,
    LARGEST_INTEGER,
    AppId,
    Code,
    Email,
    Envelope,
    Event,
    Id,
    LinkMethod,
    Provider,
    Sentence,
    Time,
    Version,
    iso,
)

__all__ = [
    "EVENTS",
    "JSON",
    "LARGEST_INTEGER",
    "AccountLinkState",
    "AccountLinked",
    "AccountUnlinked",
    "AppId",
    "BundlePurchased",
    "Code",
    "Email",
    "EntitlementFailed",
    "EntitlementGranted",
    "EntitlementRevoke",
    "EntitlementRevoked",
    "Envelope",
    "Event",
    "Id",
    "LinkMethod",
    "Provider",
    "Sentence",
    "Time",
    "UserOAuthLogin",
    "Version",
    "iso",
    "parse",
    "parse_as",
]


class BundlePurchased(Event):
    """
    A bundle with a product of the peer app was bought.

    Seller to granter. Answered by `EntitlementGranted` or `EntitlementFailed`.
    """

    name = "bundle/purchased"
    identity = ("purchase_id", "product_id")

    purchase_id: Id
    product_id: Id
    """The product of the peer app that is to be unlocked."""
    buyer_email: Email | None = None
    buyer_user_id: Id | None = None
    """The buyer's id at the seller; None for a guest."""
    linked_user_id: Id | None = None
    """The buyer's id at the granter, as far as the seller knows: a hint."""
    bundle_product_id: Id | None = None
    """The product of the seller that was bought."""
    purchased_at: Time | None = None
    quiet: bool | None = None
    """True for a sale of long ago, about which nobody is to be mailed."""
    version: Version
    """The larger one counts, see `EntitlementRevoke.version`."""


class EntitlementGranted(Event):
    """
    What was sold is unlocked, or waits for its buyer.

    Granter to seller.
    """

    name = "entitlement/granted"
    identity = ("source_purchase_id", "product_id")

    source_purchase_id: Id
    product_id: Id
    entitlement_id: Id
    user_id: Id | None = None
    """Who holds it, by the id at the granter."""
    status: Literal["active", "pending"]
    version: Version


class EntitlementRevoke(Event):
    """
    What a purchase unlocked is to be locked again.

    Seller to granter. Answered by `EntitlementRevoked`.
    """

    name = "entitlement/revoke"
    identity = ("purchase_id", "product_id")

    purchase_id: Id
    product_id: Id | None = None
    """None only from a sketch peer: every product of the purchase."""
    reason: Literal["refunded", "disputed", "transferred", "manual"]
    version: Version
    """The seller numbers what it wants for a purchase and product: the granter ignores what is older than it knows."""


class EntitlementRevoked(Event):
    """
    What a purchase unlocked is locked again.

    Granter to seller.
    """

    name = "entitlement/revoked"
    identity = ("source_purchase_id", "product_id")

    source_purchase_id: Id
    product_id: Id | None = None
    """None only to a sketch peer that named none."""
    entitlement_id: Id | None = None
    version: Version


class EntitlementFailed(Event):
    """
    What was sold can't be unlocked.

    Granter to seller.
    """

    name = "entitlement/failed"
    identity = ("source_purchase_id", "product_id")

    source_purchase_id: Id
    product_id: Id
    code: Code
    """`unknown-product`, for example."""
    message: Sentence
    version: Version


class AccountLinked(Event):
    """
    Two accounts, one in each app, belong to one person.

    Either way. Answered by `AccountLinkState`.
    """

    name = "account/linked"
    identity = ("user_id", "linked_app", "linked_user_id")

    user_id: Id
    """The account in the app that sends it."""
    email: Email | None = None
    """That account's address, only if it was verified there."""
    linked_app: AppId
    linked_user_id: Id
    linked_email: Email | None = None
    link_method: LinkMethod
    linked_at: Time
    version: Version


class AccountUnlinked(Event):
    """
    Two accounts don't belong together any more.

    Either way. Answered by `AccountLinkState`.
    """

    name = "account/unlinked"
    identity = ("user_id", "linked_app", "linked_user_id")

    user_id: Id
    linked_app: AppId
    linked_user_id: Id
    unlinked_at: Time
    version: Version


class AccountLinkState(Event):
    """
    What the app that sends it now holds of two accounts.

    The answer to `AccountLinked` and `AccountUnlinked`.
    """

    name = "account/link-state"
    identity = ("user_id", "linked_app", "linked_user_id")

    user_id: Id
    linked_app: AppId
    linked_user_id: Id
    link_method: LinkMethod
    version: Version


class UserOAuthLogin(Event):
    """
    Somebody signed in with an account of an OAuth provider.

    Either way.
    """

    name = "user/oauth-login"
    identity = ("user_id", "provider", "provider_account_id", "logged_in_at")

    user_id: Id
    email: Email | None = None
    provider: Provider
    provider_account_id: Id
    """The provider's own unchanging id of the account, never its name there."""
    logged_in_at: Time


E = TypeVar("E", bound=Event)

EVENTS: Mapping[str, type[Event]] = {
    kind.name: kind
    for kind in (
        BundlePurchased,
        EntitlementGranted,
        EntitlementRevoke,
        EntitlementRevoked,
        EntitlementFailed,
        AccountLinked,
        AccountUnlinked,
        AccountLinkState,
        UserOAuthLogin,
    )
}
"""Every kind of event, by its name."""


def parse(envelope: Envelope | Mapping[str, object]) -> Event:
    """
    Make the right event from what Inngest hands over. It doesn't check who sent it, see `proofs.read`.

    Raises:
        EventRejectedError: It is of no kind that we know (`event`), or a field is missing or wrong (`schema`).
    """
    name, data = (envelope.name, envelope.data) if isinstance(envelope, Envelope) else _parts(envelope)
    if not isinstance(name, str) or name not in EVENTS:
        raise EventRejectedError("event", f"{name!r:.140} is none of {', '.join(EVENTS)}")
    return parse_as(EVENTS[name], data)


def parse_as(kind: type[E], data: object) -> E:
    """
    Read *data* as an event of that *kind*.

    Raises:
        EventRejectedError: A field is missing or wrong (`schema`).
    """
    problems = ["is no object"]
    if isinstance(data, Mapping):
        try:
            return kind.from_wire(data)
        except ValidationError as error:
            problems = _problems(error)
    # outside of the handler: pydantic's error holds the values
    raise EventRejectedError("schema", f"the data of {kind.name}: {'; '.join(problems)}")


def _problems(error: ValidationError) -> list[str]:
    problems = []
    for entry in error.errors(include_url=False, include_context=False, include_input=False):
        field = ".".join(to_camel(str(part)) for part in entry["loc"])
        problems.append(f"{field}: {entry['msg']}".removeprefix(": ").replace("Value error, ", ""))
    return problems


def _parts(envelope: Mapping[str, object]) -> tuple[object, object]:
    return envelope.get("name"), envelope.get("data")
