"""
What the functions do that an event about a link starts.

From the app's own environment it is a hint, since others may send there too: the row decides, and the peer is told of
it. From the peer it is signed, and merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crossapp_core.durable import Run
from crossapp_core.events import AccountLinked, AccountLinkState, AccountUnlinked, parse_as
from crossapp_core.link_runtime import LinkRuntime
from crossapp_core.operations import links, owed_links
from crossapp_core.operations.link_rows import Pair
from crossapp_core.outcomes import Message


async def take(linking: LinkRuntime, run: Run, kind: type[AccountLinked] | type[AccountUnlinked]) -> Pair:
    """
    Merge what the peer says of a pair and answer or, if the app itself says it, tell the peer; the pair.

    Raises:
        EventRejectedError: It is none that we act on.
    """
    if run.event.data.get("sourceApp") == linking.app.settings.app_id:
        hint = parse_as(kind, run.event.data)
        pair = Pair(hint.user_id, hint.linked_app, hint.linked_user_id)
        outcome = await linking.transact(run, "look", owed_links.announce, pair)
        await announce(linking, run, outcome.messages)
        return pair
    fact = linking.app.read(kind, run.event)
    await merge(linking, run, fact)
    return Pair(fact.linked_user_id, fact.source_app or "", fact.user_id)


async def merge(linking: LinkRuntime, run: Run, fact: links.Fact) -> None:
    """
    Merge what a peer says, answer, and tell it what else has changed because of that.
    """
    outcome = await linking.transact(run, "merge", links.merge, fact)
    await linking.app.send(run, "answer", [_answering(message, run.event.id) for message in outcome.messages])


async def announce(linking: LinkRuntime, run: Run, messages: Sequence[Message]) -> None:
    """
    Tell the peers of links; to a sketch peer, that is done once it is accepted.
    """
    accepted = await linking.app.send_owed(run, "announce", messages)
    await note_accepted(linking, run, [message for message, _ in accepted])


async def note_accepted(linking: LinkRuntime, run: Run, messages: Sequence[Message]) -> None:
    """
    Write down what sketch peers have accepted, if there are any among them.
    """
    silent = [message for message in messages if message.target in linking.linker.sketches]
    if silent:
        await linking.transact(run, "note accepted", owed_links.note_accepted, silent)


def _answering(message: Message, event_id: str) -> Message:
    return replace(message, answers=event_id) if isinstance(message.event, AccountLinkState) else message
