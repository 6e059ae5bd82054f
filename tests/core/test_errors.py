from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from datetime import timedelta

import pytest

from crossapp_core import errors
from crossapp_core.errors import CrossAppError

ERRORS = [
    errors.CrossAppConfigError("the settings of a", ["x is not set: y", "z"]),
    errors.EventRejectedError("signature", "the event has no proof"),
    errors.HostEventError("purchase/refunded", ["purchaseId", "chargeId"]),
    errors.UnconfirmedEventError("pur_1", "owned"),
    errors.UnknownProductError("total-typescript", "pur_1", "prod_9"),
    errors.CatalogError("prod_1", "x must be y", position=0),
    errors.LinkTokenError("expired", "it was valid until 12:00"),
    errors.LinkConflictError("ai-hero", ours=True),
    errors.StorageError("grant", "OperationalError 1213"),
    errors.UnknownPeerError("c", {"b", "a"}),
    errors.PeerUnavailableError("ai-hero", "503", retry_after=timedelta(seconds=5)),
    errors.PeerKeyRefusedError("ai-hero", 401, "AI_HERO_INNGEST_EVENT_KEY"),
    errors.EventRefusedError("ai-hero", "e1", "400"),
]
each = pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)


def kinds(base: type[CrossAppError] = CrossAppError) -> Iterator[type[CrossAppError]]:
    """
    All of our errors that are raised as they are, not as a base.
    """
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from kinds(kind)
            if not kind.__subclasses__():
                yield kind


class TestTree:
    def test_codes(self) -> None:
        """
        Each error has a code of its own, by which a program knows it.
        """
        found = list(kinds())

        assert {type(error) for error in ERRORS} == set(found)
        assert len({kind.code for kind in found}) == len(found)
        assert all(kind.code != base.code for kind in found for base in (CrossAppError, errors.SendError))

    @pytest.mark.parametrize(
        ("code", "status", "retryable"),
        [
            ("config", 500, False),
            ("event-rejected", 422, False),
            ("host-event", 422, False),
            ("unconfirmed-event", 409, True),
            ("unknown-product", 422, True),
            ("catalog", 422, True),
            ("link-token", 400, False),
            ("link-conflict", 409, False),
            ("storage", 503, True),
            ("unknown-peer", 500, False),
            ("peer-unavailable", 502, True),
            ("peer-key-refused", 502, True),
            ("event-refused", 502, False),
        ],
    )
    def test_what_becomes_of_it(self, code: str, status: int, retryable: bool) -> None:
        """
        The class alone says which HTTP status an error is and whether another attempt makes sense.
        """
        [error] = [error for error in ERRORS if error.code == code]

        assert (error.status, error.retryable) == (status, retryable)

    def test_drawn(self) -> None:
        """
        The tree in the module's docstring is the one that there is.
        """
        drawn: list[type[CrossAppError]] = [CrossAppError, errors.SendError, *kinds()]
        for kind in drawn:
            assert f"{kind.__name__} " in f"{errors.__doc__} ".replace("\n", " ")

    def test_value_errors(self) -> None:
        """
        What was written wrong is a ValueError too.
        """
        wrong = {type(error).__name__ for error in ERRORS if isinstance(error, ValueError)}

        assert wrong == {"CrossAppConfigError", "CatalogError"}


class TestMessage:
    def test_is_made_of_facts(self) -> None:
        """
        An error is given facts and makes a sentence of them.
        """
        assert [str(error) for error in ERRORS] == [
            "2 problems with the settings of a\n  x is not set: y\n  z",
            "signature: the event has no proof",
            "the event purchase/refunded has no purchaseId and no chargeId in its data:"
            " tell the bridge where the id stands",
            "the purchase pur_1 is not owned (yet), whatever the event says",
            "there is no product prod_9 here, which total-typescript sold as pur_1",
            "bundleProducts[0] of product prod_1: x must be y",
            "expired: it was valid until 12:00",
            "the account here is linked with another one of ai-hero: unlink that first",
            "grant was rolled back: OperationalError 1213",
            "no peer 'c' in the settings, only a, b",
            "ai-hero's Inngest did not accept the event: 503",
            "ai-hero's Inngest refused the event key (401):"
            " is AI_HERO_INNGEST_EVENT_KEY a key of ai-hero's environment?",
            "ai-hero's Inngest refused the event e1: 400",
        ]

    def test_one_problem(self) -> None:
        """
        A single problem is counted as one.
        """
        assert str(errors.CrossAppConfigError("x", ["y"])) == "1 problem with x\n  y"


class TestProcesses:
    @each
    def test_pickles(self, error: CrossAppError) -> None:
        """
        An error comes whole out of another process, and out of a copy.
        """
        for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert type(other) is type(error)
            assert str(other) == str(error)
            assert vars(other) == vars(error)
            assert other.retry_after == error.retry_after

    def test_keeps_notes(self) -> None:
        """
        What was added to an error on its way up comes along.
        """
        error = errors.EventRejectedError("schema", "x")
        error.add_note("while testing")

        assert pickle.loads(pickle.dumps(error)).__notes__ == ["while testing"]
