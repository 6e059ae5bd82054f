from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from crossapp_ah.models import Entitlement
from crossapp_core import proofs
from crossapp_core.columns import table_of
from crossapp_core.events import (
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
    Event,
)
from tests.ah.school import ADA, COURSE, ID, SHOP, link, refund, sale
from tests.ah.served import SCHOOL, SCHOOL_KEY, SHOP_KEY, ServedSchool, settings
from tests.hosts import NOW, SECRET

OTHER = "epic-web"
OTHER_SECRET = "a secret of two other apps, no less long"
EVENTS: list[Event] = [sale(), refund()]
HANDLERS = {BundlePurchased.name: "handle-bundle-purchase", EntitlementRevoke.name: "handle-revocation"}

Data: TypeAlias = dict[str, Any]
Forgery: TypeAlias = Callable[[Event], Data]


def sealed(event: Event, *, source: str = SHOP, target: str = SCHOOL, secret: str = SECRET, id_: str = "id-1") -> Data:
    """
    The data of an event as *source* sends it, with its proof.
    """
    ours = event.model_copy(update={"source_app": source})
    return proofs.seal(ours, settings=settings(source, target, secret=secret), target=target, id=id_, now=NOW)


def signed(event: Event, data: Data) -> Data:
    """
    Any data in the event's place, with a proof that holds.
    """
    key = settings(SHOP, SCHOOL).peer(SCHOOL).signing_key
    proof = proofs.sign(data, name=event.name, id="id-1", source=SHOP, target=SCHOOL, key=key, iat=0)
    return {**data, "proof": proof}


def without_proof(event: Event) -> Data:
    """
    The event as somebody sends it who only has the event key.
    """
    return {key: value for key, value in sealed(event).items() if key != "proof"}


def of_another_kind(event: Event) -> Data:
    """
    The proof of an event of another name with the same content.
    """
    [other] = {BundlePurchased.name, EntitlementRevoke.name} - {event.name}
    data = without_proof(event)
    key = settings(SHOP, SCHOOL).peer(SCHOOL).signing_key
    return {**data, "proof": proofs.sign(data, name=other, id="id-1", source=SHOP, target=SCHOOL, key=key, iat=0)}


FORGERIES: dict[str, tuple[str, Forgery]] = {
    "unsigned": ("signature", without_proof),
    "empty proof": ("signature", lambda event: {**sealed(event), "proof": ""}),
    "proof that is no text": ("signature", lambda event: {**sealed(event), "proof": {"alg": "none"}}),
    "another secret": ("signature", lambda event: sealed(event, secret=OTHER_SECRET)),
    "another event's id": ("signature", lambda event: sealed(event, id_="id-2")),
    "another purchase": ("signature", lambda event: {**sealed(event), "purchaseId": "pur_2"}),
    "a key added": ("signature", lambda event: {**sealed(event), "extra": 1}),
    "another kind of event": ("event", of_another_kind),
    "for another app": ("target", lambda event: sealed(event, target=OTHER)),
    "our own came back": ("target", lambda event: sealed(event, source=SCHOOL, target=SHOP)),
    "of an app that is no peer": ("source", lambda event: sealed(event, source=OTHER)),
    "in a peer's name": ("signature", lambda event: {**sealed(event, source=OTHER), "sourceApp": SHOP}),
    "of nobody": ("source", lambda event: {**sealed(event), "sourceApp": None}),
}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
class TestForgery:
    async def test_refused(self, served: ServedSchool, event: Event) -> None:
        """
        What isn't signed by a peer, for this app, as it stands, ends at once: no retry, no row, no answer.
        """
        served.add(link())
        refused = await refusals(served, event, {name: forge(event) for name, (_, forge) in FORGERIES.items()})

        assert refused == {name: f"event-rejected: {reason}" for name, (reason, _) in FORGERIES.items()}

    async def test_stored_is_kept(self, served: ServedSchool, event: Event) -> None:
        """
        Nor does it change what is stored.
        """
        served.add(link())
        await served.hear(sale())
        before = served.row.model_dump()
        newer = event.model_copy(update={"version": 9})
        await served.receive(event.name, sealed(newer, secret=OTHER_SECRET), "id-1")

        assert served.row.model_dump() == before
        assert len(served.answers) == 1

    async def test_next_one(self, served: ServedSchool, event: Event) -> None:
        """
        The refusal of an event says nothing about the next.
        """
        await served.receive(event.name, without_proof(event), "id-1")
        await served.hear(event)

        assert len(served.answers) == len(served.rows) == 1


BAD: dict[str, tuple[str, object]] = {
    "no purchase": ("purchaseId", None),
    "empty purchase": ("purchaseId", ""),
    "purchase that is a number": ("purchaseId", 7),
    "purchase with a null byte": ("purchaseId", "pur\x001"),
    "purchase that is too long": ("purchaseId", "p" * 192),
    "list of products": ("productId", [COURSE]),
    "no version": ("version", None),
    "version 0": ("version", 0),
    "negative version": ("version", -1),
    "version as text": ("version", "1"),
    "true for a version": ("version", True),
}


class TestSchema:
    @pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
    async def test_refused(self, served: ServedSchool, event: Event) -> None:
        """
        What is signed but not what the contract says ends at once, and the field is named.
        """
        forms = {name: signed(event, {**without_proof(event), field: value}) for name, (field, value) in BAD.items()}

        assert await refusals(served, event, forms) == dict.fromkeys(BAD, "event-rejected: schema")
        messages = [run.error.message for run in served.inngest.log.runs if run.error]
        assert [
            message for (field, _), message in zip(BAD.values(), messages, strict=True) if field not in message
        ] == []

    async def test_sale(self, served: ServedSchool) -> None:
        """
        The same goes for what a sale may leave out but hasn't right.
        """
        wrong = {"buyerEmail": "nobody", "quiet": "yes", "buyerUserId": ""}
        forms = {field: signed(sale(), {**without_proof(sale()), field: value}) for field, value in wrong.items()}

        assert await refusals(served, sale(), forms, reported=True) == dict.fromkeys(wrong, "event-rejected: schema")
        assert {event.data["code"] for event in served.shop.log.received} == {"unreadable"}

    async def test_refund(self, served: ServedSchool) -> None:
        """
        A refund has one of the known reasons.
        """
        forms = {"reason": signed(refund(), {**without_proof(refund()), "reason": "bored"})}

        assert await refusals(served, refund(), forms, reported=True) == {"reason": "event-rejected: schema"}
        assert "reason" in error(served)

    async def test_more_than_we_know(self, served: ServedSchool) -> None:
        """
        What a later version adds is ignored, as long as it is signed.
        """
        later = {
            "coupon": "SUMMER",
            "amount": 4900,
            "__proto__": "x",
            "BUYEREMAIL": "eve@example.com",
        }
        await served.receive(BundlePurchased.name, signed(sale(), {**without_proof(sale()), **later}), "id-1")

        assert len(served.answers) == 1
        assert (served.row.status, served.row.pending_for_email) == ("pending", "ada@example.com")

    async def test_less_than_we_send(self, served: ServedSchool) -> None:
        """
        What may be left out may be left out.
        """
        needed = {"sourceApp": SHOP, "purchaseId": "pur_1", "productId": COURSE, "version": 1}
        await served.receive(BundlePurchased.name, signed(sale(), needed), "id-1")

        assert len(served.answers) == 1
        assert (served.row.status, served.row.pending_for_email, served.row.source_user_id) == ("pending", None, None)


class TestDirection:
    @pytest.mark.parametrize(
        "event",
        [
            EntitlementGranted(
                source_purchase_id="pur_1",
                product_id=COURSE,
                entitlement_id=ID,
                user_id=ADA,
                status="active",
                version=1,
            ),
            EntitlementRevoked(source_purchase_id="pur_1", product_id=COURSE, version=1),
            EntitlementFailed(source_purchase_id="pur_1", product_id=COURSE, code="x", message="y", version=1),
        ],
        ids=lambda event: event.name,
    )
    async def test_answer_to_granter(self, served: ServedSchool, event: Event) -> None:
        """
        What only a granter says runs nothing here, however well it is signed.
        """
        await served.receive(event.name, sealed(event), "id-1")

        assert served.inngest.log.runs == []
        assert (served.answers, served.rows) == ([], [])

    async def test_event_in_the_wrong_place(self, served: ServedSchool) -> None:
        """
        A refund that comes under the name of a sale is none of both.
        """
        forms = {"refund": sealed(refund())}

        assert await refusals(served, sale(), forms) == {"refund": "event-rejected: event"}


class TestSecrets:
    """
    What travels to Inngest and into logs.
    """

    @pytest.fixture(autouse=True)
    def everything(self, caplog: pytest.LogCaptureFixture) -> None:
        """
        Logs are kept down to the last detail; those of the app's own driver are the app's own.
        """
        caplog.set_level(logging.DEBUG)
        logging.getLogger("aiosqlite").setLevel(logging.INFO)

    async def test_work(self, served: ServedSchool, caplog: pytest.LogCaptureFixture) -> None:
        """
        Work that is done leaves no secret, key, proof or address anywhere but in the events and the row.
        """
        for event in (sale(), refund()):
            await served.hear(event)

        assert [run.status for run in served.inngest.log.runs] == ["completed"] * 2
        assert found(served, caplog.text) == []

    async def test_forgery(self, served: ServedSchool, caplog: pytest.LogCaptureFixture) -> None:
        """
        An event that is refused isn't repeated in the error.
        """
        await refusals(served, sale(), {name: forge(sale()) for name, (_, forge) in FORGERIES.items()})

        assert found(served, caplog.text) == []

    @pytest.mark.parametrize("change", [{"buyerEmail": "ada@example.com@example.com"}, {"version": "ada@example.com"}])
    async def test_schema(self, served: ServedSchool, caplog: pytest.LogCaptureFixture, change: Data) -> None:
        """
        Nor is the value of a field that is wrong.
        """
        await served.receive(BundlePurchased.name, signed(sale(), {**without_proof(sale()), **change}), "id-1")

        assert next(iter(change)) in error(served)
        assert found(served, caplog.text) == []

    async def test_database(self, served: ServedSchool, caplog: pytest.LogCaptureFixture) -> None:
        """
        A database that fails says what is wrong, without the values of the statement.
        """
        table_of(Entitlement).drop(served.database.engine)
        await served.send(sale())
        await served.local.asettle(within=timedelta(days=30))

        assert "grant was rolled back: OperationalError sqlite 1: a table is missing" in error(served)
        assert found(served, caplog.text) == []
        table_of(Entitlement).create(served.database.engine)

    async def test_outage(self, served: ServedSchool, caplog: pytest.LogCaptureFixture) -> None:
        """
        A peer that stays down is named, without its key.
        """
        served.shop.down = True
        await served.send(sale())
        await served.local.asettle(within=timedelta(days=30))

        assert f"{SHOP}'s Inngest did not accept the event" in error(served)
        assert found(served, caplog.text) == []


async def refusals(
    served: ServedSchool, event: Event, forms: Mapping[str, Data], *, reported: bool = False
) -> dict[str, str]:
    """
    Let all those forms of an event arrive, and tell how each was refused, having checked that it left no trace, but
    for an answer that it can't be read if the peer signed it and it says what it is about.
    """
    for data in forms.values():
        served.local.clock.advance(timedelta(hours=25))  # they have one id
        await served.receive(event.name, data, "id-1")
    told = f"{HANDLERS[event.name]}-failure"  # which tells the app
    for run in [run for run in served.inngest.log.runs if run.function_id != told]:
        assert (run.function_id, run.status, run.attempts) == (HANDLERS[event.name], "failed", 1)
        assert run.steps == (["report"] if reported else [])
    answers = ["entitlement/failed"] * len(forms) if reported else []
    assert (served.rows, [event.name for event in served.shop.log.received]) == ([], answers)
    assert served.shop.log.refused == []
    messages = [run.error.message for run in served.inngest.log.runs if run.error]
    return {name: ": ".join(message.split(": ")[:2]) for name, message in zip(forms, messages, strict=True)}


def error(served: ServedSchool) -> str:
    """
    What the one run that failed has failed with.
    """
    [run] = served.inngest.log.failures
    assert run.error is not None
    return run.error.message


def found(served: ServedSchool, logged: str) -> list[str]:
    """
    What of all that is to be hidden stands in a log, or in what the app told its Inngest, tracebacks and all.
    """
    assert "500" in logged or not served.inngest.log.failures
    received = [*served.inngest.log.received, *served.shop.log.received]
    given = [event.data.get("proof") for event in received]
    hidden = [SECRET, OTHER_SECRET, SHOP_KEY, SCHOOL_KEY, "ada@", *(proof for proof in given if isinstance(proof, str))]
    return [secret for secret in hidden if secret and any(secret in text for text in [logged, *served.told])]
