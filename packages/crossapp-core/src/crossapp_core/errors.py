"""
Everything that goes wrong here, as one tree.

    CrossAppError
    ├── CrossAppConfigError (ValueError)   the settings, or what a bridge was made from
    ├── EventRejectedError                 an event that came in is none that we take
    ├── HostEventError                     the app's own event lacks the id that we were told to look for
    ├── UnconfirmedEventError              the app's own event says what its database doesn't say (yet)
    ├── UnknownProductError                a sketch peer sold a product that there isn't
    ├── CatalogError (ValueError)          a product's bundleProducts can't be read
    ├── LinkTokenError                     a link token that came in is none that we take
    ├── LinkConflictError                  one of two accounts is linked with another already
    ├── StorageError                       the database didn't do an operation
    └── SendError                          an event didn't get to a peer
        ├── UnknownPeerError
        ├── PeerUnavailableError
        ├── PeerKeyRefusedError
        └── EventRefusedError

`code`, `status` and `retryable` are class attributes and decide alone what becomes of an error: the HTTP status of a
page, and whether Inngest tries again. Messages travel to Inngest and into logs, so they hold ids, but never a secret,
an event key or an e-mail address.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import ClassVar


class CrossAppError(Exception):
    """
    Base of all our errors.
    """

    code: ClassVar[str] = "cross-app"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    retry_after: timedelta | None = None
    """How long to wait before another attempt, if somebody said so."""

    def __reduce__(self) -> tuple[object, ...]:
        # errors cross processes; without this, the message would be taken for the facts that it was made of
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[CrossAppError], args: tuple[object, ...]) -> CrossAppError:
    return kind.__new__(kind, *args)


class CrossAppConfigError(CrossAppError, ValueError):
    """
    Something that was configured can't work; all problems of one object are told together.
    """

    code = "config"

    def __init__(self, subject: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n  ".join([f"{count} with {subject}", *problems]))


class EventRejectedError(CrossAppError):
    """
    An event that came in is not one that we act on. It changes nothing, and another attempt wouldn't help.

    Args:
        reason: `event`, `source`, `target`, `signature`, `schema`, `direction`, `provider` or `state`.
        detail: One sentence for the person who reads the failed run.
    """

    code = "event-rejected"
    status = 422

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}")


class HostEventError(CrossAppError):
    """
    An event of the app itself doesn't hold what the bridge was told to look for in it.
    """

    code = "host-event"
    status = 422

    def __init__(self, event: str, wanted: Sequence[str]) -> None:
        self.event = event
        super().__init__(
            f"the event {event} has no {' and no '.join(wanted)} in its data: tell the bridge where the id stands"
        )


class UnconfirmedEventError(CrossAppError):
    """
    An event of the app itself says what its database doesn't; perhaps its transaction isn't committed yet.
    """

    code = "unconfirmed-event"
    status = 409
    retryable = True

    def __init__(self, purchase_id: str, expected: str) -> None:
        self.purchase_id = purchase_id
        super().__init__(f"the purchase {purchase_id} is not {expected} (yet), whatever the event says")


class UnknownProductError(CrossAppError):
    """
    A sketch peer, which can't be told, has sold a product that this app doesn't have.
    """

    code = "unknown-product"
    status = 422
    retryable = True  # somebody will make the product

    def __init__(self, source_app: str, purchase_id: str, product_id: str) -> None:
        self.product_id = product_id
        super().__init__(f"there is no product {product_id} here, which {source_app} sold as {purchase_id}")


class CatalogError(CrossAppError, ValueError):
    """
    What a product says about its bundle can't be read.

    Args:
        product_id: The product.
        problem: What is wrong and how it should be.
        position: Which entry of the list, from 0; None if it is the list itself.
    """

    code = "catalog"
    status = 422
    retryable = True  # somebody will correct the product

    def __init__(self, product_id: str, problem: str, *, position: int | None = None) -> None:
        self.product_id = product_id
        self.position = position
        where = "bundleProducts" if position is None else f"bundleProducts[{position}]"
        super().__init__(f"{where} of product {product_id}: {problem}")


class LinkTokenError(CrossAppError):
    """
    A link token, or the request that brought it, is none that we act on. It changes nothing.

    Args:
        reason: Which check failed: `malformed`, `header`, `alg`, `typ`, `crit`, `key`, `signature`, `claim`, `iss`,
            `aud`, `lifetime`, `not_yet_valid`, `expired`, `replayed`, `session` or `subject`.
        detail: One sentence for the log; it doesn't repeat the token.
    """

    code = "link-token"
    status = 400

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}")

    def sentence(self, origin: str) -> str:
        """
        What to tell the person, and what to do next.

        Args:
            origin: The name of the app where the link began.
        """
        return f"{_LINK_TOKEN_SENTENCES.get(self.reason, 'This link doesn’t work.')} Start again from {origin}."


_LINK_TOKEN_SENTENCES = {
    "expired": "This link has expired.",
    "not_yet_valid": "This link isn’t valid yet.",
    "replayed": "This link has been used already.",
    "session": "You have answered already, or signed in as somebody else meanwhile: this page is an old one.",
    "subject": "This account doesn’t exist any more.",
}


class LinkConflictError(CrossAppError):
    """
    One of two accounts is linked with another one already; that link stands.

    Args:
        app_id: The peer.
        ours: Whether it is the account in this app that is linked already, or the one in the peer.
    """

    code = "link-conflict"
    status = 409

    def __init__(self, app_id: str, *, ours: bool) -> None:
        self.app_id = app_id
        self.ours = ours
        whose = (
            f"the account here is linked with another one of {app_id}"
            if ours
            else (f"the account of {app_id} is linked with another one here")
        )
        super().__init__(f"{whose}: unlink that first")


class StorageError(CrossAppError):
    """
    The database didn't do an operation, and all of it was rolled back.

    Drivers write values into their messages, so only the error's class and code are repeated here.
    """

    code = "storage"
    status = 503
    retryable = True

    def __init__(self, operation: str, kind: str, hint: str = "") -> None:
        super().__init__(f"{operation} was rolled back: {kind}{f': {hint}' if hint else ''}")


class SendError(CrossAppError):
    """
    Base of what keeps an event from a peer.
    """

    code = "send"
    status = 502


class UnknownPeerError(SendError):
    """
    There is no such peer in the settings.
    """

    code = "unknown-peer"
    status = 500

    def __init__(self, app_id: str, known: Collection[str]) -> None:
        self.app_id = app_id
        super().__init__(f"no peer {app_id!r} in the settings, only {', '.join(sorted(known)) or 'none'}")


class PeerUnavailableError(SendError):
    """
    The peer's Inngest didn't accept an event within the deadline.
    """

    code = "peer-unavailable"
    retryable = True

    def __init__(self, app_id: str, reason: str, *, retry_after: timedelta | None = None) -> None:
        self.app_id = app_id
        self.retry_after = retry_after
        super().__init__(f"{app_id}'s Inngest did not accept the event: {reason}")


class PeerKeyRefusedError(SendError):
    """
    The peer's Inngest doesn't know the event key.
    """

    code = "peer-key-refused"
    retryable = True  # somebody will correct the key

    def __init__(self, app_id: str, status: int, variable: str) -> None:
        self.app_id = app_id
        super().__init__(
            f"{app_id}'s Inngest refused the event key ({status}): is {variable} a key of {app_id}'s environment?"
        )


class EventRefusedError(SendError):
    """
    The peer's Inngest refused an event for what it is.
    """

    code = "event-refused"

    def __init__(self, app_id: str, event_id: str, reason: str) -> None:
        self.app_id = app_id
        self.event_id = event_id
        super().__init__(f"{app_id}'s Inngest refused the event {event_id}: {reason}")
