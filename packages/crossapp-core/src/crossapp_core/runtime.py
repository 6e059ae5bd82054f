"""
What the functions of an adapter work with: an app's Inngest, database, settings and the sending client.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

import inngest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session

from crossapp_core import durable, errors, proofs
from crossapp_core.apps import Settings
from crossapp_core.client import CrossAppClient
from crossapp_core.connections import unlogged
from crossapp_core.database import Database
from crossapp_core.delivery import SendResult, ids_of
from crossapp_core.dispatch import Dispatch
from crossapp_core.durable import Run
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.events import Envelope, Event
from crossapp_core.outcomes import Message, Outcome, Sent
from crossapp_core.ports import OnProblem, Problem
from crossapp_core.tables import CrossAppCursorBase

E = TypeVar("E", bound=Event)
F_contra = TypeVar("F_contra", contravariant=True)
G = TypeVar("G")
H = TypeVar("H")
H_contra = TypeVar("H_contra", contravariant=True)
T = TypeVar("T")

log = logging.getLogger(__name__)


class Operation(Protocol[H_contra, F_contra]):
    """
    All decisions about one fact, in the caller's transaction.
    """

    def __call__(self, session: Session, host: H_contra, fact: F_contra, /, *, now: datetime) -> Outcome:
        """
        Decide and write.
        """
        ...


class Runtime(Generic[H]):
    """
    Base of the adapters' bridges.

    Args:
        client: The app's own Inngest client.
        engine: The app's own engine: an async one makes async functions, a sync one sync functions.
        settings: Which app this is, and its peers.
        on_problem: Is told of what the library can't put right alone.
        clock: The time, in UTC; the system's if None.

    Raises:
        CrossAppConfigError: A peer's event key is the app's own.
    """

    functions: list[inngest.Function[Any]]
    """To be served beside the app's own; the adapter makes them."""

    host: H
    """The app's tables and ports, as the adapter's operations know them."""

    def __init__(
        self,
        client: inngest.Inngest,
        engine: Engine | AsyncEngine,
        *,
        settings: Settings,
        on_problem: OnProblem | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        _refuse_own_key(client, settings)
        self.inngest = client
        self.database = Database(engine)
        self.settings = settings
        self.clock = clock or _utc_now
        self.client = CrossAppClient(settings, clock=self.clock)
        self.on_problem = on_problem
        self.cursors: type[CrossAppCursorBase] | None = None
        """Where it is written down which peers are down."""

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """
        Close the connections to the peers when *app* ends: `FastAPI(lifespan=bridge.lifespan)`.
        """
        try:
            yield
        finally:
            await self.client.aclose()

    def read(self, kind: type[E], envelope: Envelope) -> E:
        """
        Check an event that came in, its proof above all, and read it.

        Raises:
            EventRejectedError: It is none that we act on.
        """
        return proofs.read(kind, envelope, settings=self.settings)

    async def transact(self, run: Run, step: str, operation: Operation[H, F_contra], fact: F_contra) -> Outcome:
        """
        Run one operation as one step and one transaction.
        """
        return await self.transact_as(self.host, run, step, operation, fact)

    async def transact_as(
        self, host: G, run: Run, step: str, operation: Operation[G, F_contra], fact: F_contra
    ) -> Outcome:
        """
        Do as `transact` does, for operations that know the app as *host*.
        """

        async def work() -> dict[str, Any]:
            outcome = await self.database.transact(operation, host, fact, now=self.clock())
            return outcome.to_json()

        return Outcome.from_json(await run.step(step, work))

    async def send(self, run: Run, step: str, messages: Sequence[Message], *, answers: str | None = None) -> list[str]:
        """
        Send, as one step, what an operation wants sent, to the app's own functions too; the ids that each Inngest gave
        come back.

        Args:
            run: The run.
            step: The step's id.
            messages: What to send.
            answers: The id of the event that they all acknowledge.
        """
        if not messages:
            return []
        outgoing = [_answering(message, answers) for message in messages]

        async def work() -> list[str]:
            return await self.deliver(outgoing)

        return await run.step(step, work)

    async def send_owed(self, run: Run, step: str, messages: Sequence[Message]) -> list[tuple[Message, str]]:
        """
        Send as one step what is also owed, so that the cron sends it if this doesn't; those that were accepted come
        back, with the ids that the peers gave. A peer that is known to be down isn't asked.

        Raises:
            SendError: A peer was asked and didn't accept some.
        """
        return await self._send_as_step(run, step, messages, insist=True)

    async def try_to_send(self, run: Run, step: str, messages: Sequence[Message]) -> list[Message]:
        """
        Send as one step what may as well be sent later; those that were accepted come back.

        A peer that takes nothing keeps nothing from the others.
        """
        return [message for message, _ in await self._send_as_step(run, step, messages, insist=False)]

    async def deliver(self, messages: Sequence[Message]) -> list[str]:
        """
        Send messages to the peers, and to the app's own functions those that are addressed to itself.

        Raises:
            SendError: A peer's Inngest didn't accept some, or is known to be down.
            inngest.errors.Error: The app's own didn't.
        """
        own = [message for message in messages if message.target == self.settings.app_id]
        others = [message for message in messages if message.target != self.settings.app_id]
        accepted = await self.tell([_own_event(message) for message in own]) if own else []
        return [*accepted, *_ids_of(await self.dispatch().send(others))]

    def dispatch(self) -> Dispatch:
        """
        What sends to the peers, and leaves those alone that are down.
        """
        return Dispatch(self.client, self.database, self.cursors, clock=self.clock, report=self.report)

    async def report(self, problem: Problem) -> None:
        """
        Log a problem, and tell the app of it by its hook.
        """
        about = f" of {problem.peer}" if problem.peer else ""
        log.warning("%s%s: %s", problem.code, about, problem.message)
        if self.on_problem is None:
            return
        try:
            told = self.on_problem(problem)
            if inspect.isawaitable(told):
                await told
        except Exception as error:  # noqa: BLE001 (whatever the app's hook raises is no reason to fail)
            log.warning("on_problem failed: %s", type(error).__name__)

    async def tell(self, events: list[inngest.Event]) -> list[str]:
        """
        Send events to the app's own Inngest; the ids that it gave them.

        Raises:
            inngest.errors.Error: It didn't accept them.
        """
        with unlogged(self.inngest.event_key):
            if self.database.is_async:
                # in a thread, since the SDK's async client belongs to the first event loop that it meets
                return await asyncio.to_thread(self.inngest.send_sync, events)
            return self.inngest.send_sync(events)

    def function(
        self,
        body: durable.Body[T],
        *,
        fn_id: str,
        events: Sequence[str] = (),
        cron: str | None = None,
        on_failure: durable.Body[None] | None = None,
        owes: bool = False,
    ) -> inngest.Function[T]:
        """
        Make an Inngest function of *body*, in the engine's flavour.

        Args:
            body: What it does.
            fn_id: Its id, for ever.
            events: The names of the events that trigger it.
            cron: Its timetable.
            on_failure: What is done when it has failed for good.
            owes: Whether the app is told then, since somebody waits for what it does.
        """

        async def fail(run: Run) -> None:
            if on_failure is not None:
                await on_failure(run)
            await self.report(_failure(fn_id, run.event.data))

        return durable.create_function(
            self.inngest,
            body,
            fn_id=fn_id,
            events=events,
            cron=cron,
            is_async=self.database.is_async,
            on_failure=fail if owes else on_failure,
        )

    async def _send_as_step(
        self, run: Run, step: str, messages: Sequence[Message], *, insist: bool
    ) -> list[tuple[Message, str]]:
        if not messages:
            return []

        async def work() -> list[str | None]:
            sent = await self.dispatch().send(messages)
            if insist:
                _ids_of([each for each in sent if each.asked])
            return [each.accepted_id for each in sent]

        return [(message, id_) for message, id_ in zip(messages, await run.step(step, work), strict=True) if id_]


def _refuse_own_key(client: inngest.Inngest, settings: Settings) -> None:
    # with swapped variables our events come back to us, where no function may listen for them
    problems = [
        f"{peer.event_key_name} is the key of our own Inngest environment: it must be one of {peer.app_id}'s"
        for peer in settings.peers.values()
        if (client.event_key, client.event_api_origin.rstrip("/")) == (peer.event_key.get_secret_value(), peer.base_url)
    ]
    if problems:
        raise CrossAppConfigError(f"the settings of {settings.app_id}", problems)


def _failure(fn_id: str, data: Mapping[str, object]) -> Problem:
    original, error = data.get("event"), data.get("error")
    event_id = original.get("id") if isinstance(original, Mapping) else None
    failure = error if isinstance(error, Mapping) else {}
    name, text = str(failure.get("name") or "an error"), str(failure.get("message") or "")
    # what others raise may hold anything
    known = name in {"NonRetriableError", "RetryAfterError"} or hasattr(errors, name)
    message = f"{fn_id} has failed for good: {name}{f': {text}' if known and text else ''}"
    return Problem("run-failed", message, ids=(str(event_id),) if event_id else ())


def _own_event(message: Message) -> inngest.Event:
    # without a proof: what comes from our own environment is a hint, since others may send there too
    event = message.event
    return inngest.Event(id=event.event_id(attempt=message.attempt), name=event.name, data=event.to_wire())


def _ids_of(sent: Sequence[Sent]) -> list[str]:
    return ids_of([SendResult(each.message.event.name, each.accepted_id, each.error) for each in sent])


def _answering(message: Message, answers: str | None) -> Message:
    return message if answers is None else replace(message, answers=answers)


def _utc_now() -> datetime:
    return datetime.now(UTC)
