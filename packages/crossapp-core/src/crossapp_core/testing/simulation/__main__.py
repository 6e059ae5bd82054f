"""
Long runs: `python -m crossapp_core.testing.simulation --steps 100000 --seed 1 --seeds 8`.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from crossapp_core.testing.simulation.chances import simulate, story_of, try_history
from crossapp_core.testing.simulation.world import World

_SHOP, _SCHOOL = "crossapp_tt.testing:make_shop", "crossapp_ah.testing:make_school"


@dataclass(frozen=True)
class Task:
    """
    One seed's share.
    """

    seed: str
    steps: int
    seller: str
    granter: str
    alone: bool
    sketch: bool
    served: bool
    shrink: float


@dataclass(frozen=True)
class Result:
    """
    What came of it.
    """

    seed: str
    steps: int
    seconds: float
    story: str | None


def main(arguments: list[str]) -> int:
    """
    Run, and tell; 1 if a history failed.
    """
    given = _parser().parse_args(arguments)
    share = max(1, given.steps // given.seeds)
    tasks = [
        Task(seed, share, given.seller, given.granter, given.alone, given.sketch, given.served, given.shrink)
        for seed in ([given.history] if given.history else [str(given.seed + number) for number in range(given.seeds)])
    ]
    began, done, failed = time.perf_counter(), 0, 0
    with ProcessPoolExecutor(min(given.processes, len(tasks))) as pool:
        for finished in as_completed([pool.submit(run, task) for task in tasks]):
            result = finished.result()
            done += result.steps
            failed += result.story is not None
            print(f"seed {result.seed}: {result.steps} steps, {result.steps / result.seconds:.0f}/s", flush=True)  # noqa: T201
            if result.story is not None:
                print(f"\n{result.story}", flush=True)  # noqa: T201
    took = time.perf_counter() - began
    print(f"{done} steps over {len(tasks)} seeds in {took:.0f} s: {failed or 'no'} histories failed")  # noqa: T201
    return 1 if failed else 0


def run(task: Task) -> Result:
    """
    Do one seed's share in this process.
    """
    logging.disable(logging.CRITICAL)  # what fails on purpose would fill the screen
    seller, granter = _found(task.seller), _found(task.granter)
    world = World(
        seller, granter, both=None if task.alone else (seller, granter), sketch=task.sketch, served=task.served
    )
    began = time.process_time()
    failure = try_history(world, task.seed) if "." in task.seed else simulate(world, int(task.seed), task.steps)
    steps, seconds = world.steps, time.process_time() - began
    story = None if failure is None else story_of(world, failure, seconds=task.shrink)
    return Result(task.seed, steps, seconds, story)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m crossapp_core.testing.simulation", description="Live random histories of linked apps."
    )
    parser.add_argument("--steps", type=int, default=20_000, help="in all")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=2, help="how many")
    parser.add_argument("--history", help="one history alone, as a failure names it: 17.3")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seller", default=_SHOP, metavar="MODULE:NAME", help="makes the app that sells")
    parser.add_argument("--granter", default=_SCHOOL, metavar="MODULE:NAME", help="makes the app that opens")
    parser.add_argument("--alone", action="store_true", help="without a third app that does both")
    parser.add_argument("--sketch", action="store_true", help="with a peer without this library, too")
    parser.add_argument("--served", action="store_true", help="by the SDK's own handlers: slower")
    parser.add_argument("--shrink", type=float, default=120, metavar="SECONDS", help="how long to shorten a failure")
    return parser


def _found(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
