"""
What all functions do that an event of the app itself starts: record, send, note that it was accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import inngest

from crossapp_core.durable import Run
from crossapp_core.errors import HostEventError, UnconfirmedEventError
from crossapp_core.host_ids import id_at
from crossapp_core.runtime import Operation, Runtime
from crossapp_tt.functions.sending import send_and_note
from crossapp_tt.operations import purchases
from crossapp_tt.ports import HostEvent, Reference, Seller


def record_and_send(
    seller: Runtime[Seller], triggers: Sequence[HostEvent], record: Operation[Seller, Reference], *, fn_id: str
) -> inngest.Function[list[str]]:
    """
    A function that records what *triggers* say of a purchase, if the app's database says so too, and tells the peers.
    """

    by_name = {trigger.name: trigger for trigger in triggers}

    async def emit(run: Run) -> list[str]:
        reference = reference_in(by_name[run.event.name], run.event.data)
        outcome = await seller.transact(run, "record", record, reference)
        return await send_and_note(seller, run, outcome.messages)

    async def give_up(run: Run) -> None:
        original, error = run.event.data.get("event"), run.event.data.get("error")
        failure = error if isinstance(error, Mapping) else {}
        if failure.get("name") == UnconfirmedEventError.__name__:
            return  # the event was wrong: nothing was to be sent because of it
        match original:
            case {"name": str(name), "data": dict(data)} if name in by_name:
                pass
            case _:
                return
        try:
            reference = reference_in(by_name[name], data)
        except HostEventError:
            return
        fact = purchases.Undelivered(reference, str(failure.get("message") or "the run failed"))
        await seller.transact(run, "note undelivered", purchases.note_undelivered, fact)

    return seller.function(emit, fn_id=fn_id, events=list(by_name), on_failure=give_up, owes=True)


def reference_in(trigger: HostEvent, data: Mapping[str, object]) -> Reference:
    """
    The ids that an event of the app holds; all else in it is hearsay.

    Raises:
        HostEventError: Neither id stands where it should.
    """
    purchase_id, charge_id = (id_at(data, path) for path in (trigger.purchase_id, trigger.charge_id))
    if purchase_id is None and charge_id is None:
        raise HostEventError(trigger.name, [path for path in (trigger.purchase_id, trigger.charge_id) if path])
    return Reference(purchase_id, charge_id)
