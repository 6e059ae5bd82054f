"""
Inngest functions in both flavours, and our errors in Inngest's terms.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import inngest

from crossapp_core.errors import CrossAppConfigError, CrossAppError
from crossapp_core.flavours import run_sync

T = TypeVar("T")

RETRIES = 20
"""The most that Inngest allows: they outlast an outage of about a day."""

TIMED_RETRIES = 3
"""Of what has a timetable: its next time comes soon."""

_Functions: TypeAlias = WeakValueDictionary[str, inngest.Function[Any]]
_made: WeakKeyDictionary[inngest.Inngest, _Functions] = WeakKeyDictionary()


class Run:
    """
    One run of a function, the same for its body in both flavours.
    """

    def __init__(self, context: inngest.Context | inngest.ContextSync) -> None:
        self._context = context

    @property
    def event(self) -> inngest.Event:
        """
        The event that caused the run.
        """
        return self._context.event

    async def step(self, id: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:  # noqa: A002
        """
        Do *work* once and remember its result, which must be JSON.
        """
        if isinstance(self._context, inngest.Context):

            async def waiting() -> T:
                with in_inngest_terms():
                    return await work()

            return await self._context.step.run(id, waiting)

        def blocking() -> T:
            with in_inngest_terms():
                return run_sync(work())

        return self._context.step.run(id, blocking)


Body: TypeAlias = Callable[[Run], Coroutine[Any, Any, T]]
"""What a function does; all that it waits for is a step."""


@dataclass(frozen=True)
class Plan:
    """
    What one of our functions was made of.
    """

    fn_id: str
    body: Body[Any]
    events: tuple[str, ...]
    cron: str | None
    on_failure: Body[None] | None
    retries: int


def plan_of(function: inngest.Function[Any]) -> Plan:
    """
    What a function was made of, for whoever drives it without Inngest.

    Raises:
        KeyError: It is none of ours.
    """
    plan: Plan = vars(function)["_crossapp_plan"]
    return plan


def create_function(
    client: inngest.Inngest,
    body: Body[T],
    *,
    fn_id: str,
    events: Sequence[str] = (),
    cron: str | None = None,
    is_async: bool,
    on_failure: Body[None] | None = None,
) -> inngest.Function[T]:
    """
    Make an Inngest function of a body that is written once.

    Args:
        client: The app's Inngest client.
        body: What it does.
        fn_id: Its id, for ever.
        events: The names of the events that trigger it.
        cron: Its timetable.
        is_async: Whether it is to be an async function.
        on_failure: What is done when it has failed for good; Inngest tries that only once.

    Raises:
        CrossAppConfigError: The client has a function with that id already.
    """
    made = _functions_of(client, without=fn_id)
    retries = TIMED_RETRIES if cron else RETRIES
    flavour: Callable[[Body[Any]], Callable[[Any], Any]] = _asynchronous if is_async else _synchronous
    decorate = client.create_function(
        fn_id=fn_id,
        trigger=inngest.TriggerCron(cron=cron) if cron else [inngest.TriggerEvent(event=event) for event in events],
        retries=retries,
        on_failure=flavour(on_failure) if on_failure else None,
        middleware=[_NotUnderWSGI] if is_async else None,
    )
    made[fn_id] = function = decorate(flavour(body))
    # on the function itself: what it was made of leads back to it, and both are to go together
    vars(function)["_crossapp_plan"] = Plan(fn_id, body, tuple(events), cron, on_failure, retries)
    return function


def _functions_of(client: inngest.Inngest, *, without: str) -> _Functions:
    made = _made.setdefault(client, WeakValueDictionary())
    if without in made:
        gc.collect()  # perhaps it's of an app that is gone, as test suites make them
    if without in made:
        # of two functions with one id the SDK would serve the last, without a word
        problem = f"{without} comes twice: one Inngest client takes one bridge of each kind"
        raise CrossAppConfigError(f"the functions of {client.app_id}", [problem])
    return made


def async_under_wsgi() -> CrossAppConfigError:
    """
    Why an async engine is refused in a WSGI app.
    """
    problem = "an async engine can't serve a WSGI app (Flask, for example): give the bridge a sync engine"
    return CrossAppConfigError("the app that serves the functions", [problem])


class _NotUnderWSGI(inngest.Middleware):
    """
    Keeps an async function from running in an app that has another event loop for each request: the connections of its
    engine wouldn't survive the first. Inngest tries again, so nothing is lost until that is corrected.
    """

    async def transform_input(self, ctx: object, function: object, steps: object) -> None:
        if hasattr(self.raw_request, "environ"):
            raise async_under_wsgi()


@contextmanager
def in_inngest_terms() -> Iterator[None]:
    """
    The one place that says which of our errors Inngest tries again.

    Raises:
        inngest.NonRetriableError: For an error that another attempt can't overcome.
        inngest.RetryAfterError: For one that says how long to wait.
        CrossAppError: As it is, to be tried again as usual.
    """
    try:
        yield
        return
    except CrossAppError as error:
        translated = _translated(error)
    raise translated from None  # the stack travels: what our error was made from may hold anything


def _translated(error: CrossAppError) -> Exception:
    message = f"{error.code}: {error}"
    if not error.retryable:
        return inngest.NonRetriableError(message)
    if error.retry_after is not None:
        return inngest.RetryAfterError(message, error.retry_after)
    return error


def _asynchronous(body: Body[T]) -> Callable[[inngest.Context], Awaitable[T]]:
    async def run(context: inngest.Context) -> T:
        with in_inngest_terms():
            return await body(Run(context))

    return run


def _synchronous(body: Body[T]) -> Callable[[inngest.ContextSync], T]:
    def run(context: inngest.ContextSync) -> T:
        with in_inngest_terms():
            return run_sync(body(Run(context)))

    return run
