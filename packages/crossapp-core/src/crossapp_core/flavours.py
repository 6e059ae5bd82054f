"""
One body for sync and async code.

What differs (a request, a statement, a pause) is awaited. Where all of it is done at once, in a sync app, nothing ever
suspends, so the coroutine can be run to its end without an event loop.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


def run_sync(coroutine: Coroutine[object, None, T]) -> T:
    """
    Run a coroutine that never really waits.

    Raises:
        RuntimeError: It did wait: something async was given to sync code.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    msg = "a coroutine waited in sync code: an async engine or port needs the async flavour"
    raise RuntimeError(msg)
