"""
What all functions do that a granter's answer starts.
"""

from __future__ import annotations

from collections.abc import Mapping

import inngest

from crossapp_core import proofs
from crossapp_core.durable import Run
from crossapp_core.errors import EventRejectedError
from crossapp_core.events import EntitlementFailed, EntitlementGranted, Event, Id, parse_as
from crossapp_core.ports import Problem
from crossapp_core.runtime import Runtime
from crossapp_tt.functions.sending import send_and_note
from crossapp_tt.operations import acknowledgements, sketches
from crossapp_tt.operations.acknowledgements import Ack
from crossapp_tt.ports import Seller


def apply_answer(seller: Runtime[Seller], kind: type[Ack], *, fn_id: str) -> inngest.Function[list[str]]:
    """
    A function that writes an answer into the ledger; if the ledger had forgotten, the granter is told anew.
    """

    async def handle(run: Run) -> list[str]:
        peer, data = proofs.authenticate(kind, run.event, settings=seller.settings)
        if peer.sketch:
            answer = _read_sketch(kind, data, source=peer.app_id)
            outcome = await seller.transact(run, "apply", sketches.apply, answer)
        else:
            ack = proofs.interpret(kind, data, peer=peer, target=seller.settings.app_id)
            outcome = await seller.transact(run, "apply", acknowledgements.apply, ack)
            if isinstance(ack, EntitlementFailed) and outcome.changed:
                await _report(seller, run, ack)
        return await send_and_note(seller, run, outcome.messages)

    return seller.function(handle, fn_id=fn_id, events=[kind.name], owes=True)


async def _report(seller: Runtime[Seller], run: Run, ack: EntitlementFailed) -> None:
    async def work() -> None:
        message = f"{ack.product_id} of {ack.source_purchase_id} isn't unlocked: {ack.message}"
        problem = Problem(ack.code, message, (ack.source_purchase_id,), ack.source_app, seller.clock())
        await seller.report(problem)

    await run.step("report", work)


class _SketchAnswer(Event):
    """
    All that a sketch peer answers.
    """

    name = "entitlement/answer"
    identity = ("source_purchase_id",)

    source_purchase_id: Id
    product_id: Id | None = None
    entitlement_id: Id | None = None
    user_id: Id | None = None


def _read_sketch(kind: type[Ack], data: Mapping[str, object], *, source: str) -> sketches.Answer:
    if kind is EntitlementFailed:
        raise EventRejectedError("event", f"{kind.name} came from {source}, a sketch peer, which sends none")
    answer = parse_as(_SketchAnswer, {**data, "sourceApp": source})
    granted = kind is EntitlementGranted
    if granted and answer.entitlement_id is None:
        raise EventRejectedError("schema", f"the data of {kind.name}: entitlementId: Field required")
    return sketches.Answer(
        source, answer.source_purchase_id, granted, answer.product_id, answer.entitlement_id, answer.user_id
    )
