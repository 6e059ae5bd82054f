"""
Prints the table: `python -m benchmarks`, or a part of it: `python -m benchmarks building importing`.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from importlib import import_module

from benchmarks.measuring import Effort, Line, Note, with_spread

BENCHMARKS = (
    "building",
    "linking_tokens",
    "sending",
    "sending_many",
    "storing",
    "reconciling",
    "simulating",
    "sweeping",
    "linking",
    "together",
    "importing",
)
"""The modules with a line of the table or several, each in `lines`."""


def main(arguments: list[str]) -> None:
    """
    Measure and print.
    """
    usual = Effort()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure how fast it is.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all of them if none")
    parser.add_argument("--rounds", type=int, default=usual.rounds)
    parser.add_argument("--share", type=float, default=usual.share, help="of the usual repetitions in a round")
    parser.add_argument("--rows", type=int, default=usual.rows, help="in the large tables; 0 leaves these out")
    given = parser.parse_args(arguments)
    names = given.names or BENCHMARKS
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"there is no {', '.join(sorted(unknown))}, only {', '.join(BENCHMARKS)}")
    effort = Effort(given.rounds, given.share, given.rows)
    print(f"Python {platform.python_version()} on {os.cpu_count()} cores, medians of {effort.rounds} rounds at most.\n")
    print("| what | floor or peer | ours | ratio | goal |\n| --- | --- | --- | --- | --- |", flush=True)
    notes = []
    for name in names:
        for item in lines(name, effort):
            if isinstance(item, Note):
                notes.append(item.text)
            else:
                print(row(item), flush=True)
    print("", *(f"* {note}" for note in notes), sep="\n")


def lines(name: str, effort: Effort) -> Iterator[Line | Note]:
    """
    What a benchmark has to say. It is imported only now, since each needs other things.
    """
    module = import_module(f"benchmarks.{name}")
    yield from module.lines(effort)


def row(line: Line) -> str:
    """
    A line of the table, in Markdown.
    """
    low, high = line.ratio.quartiles
    ratio = f"{line.ratio.median:.2f} ({low:.2f} to {high:.2f}){' × the throughput' if line.is_throughput else ''}"
    floor = f"{line.peer}: {with_spread(line.floor)}"
    return f"| {line.what} | {floor} | {with_spread(line.ours)} | {ratio} | {line.goal} |"


if __name__ == "__main__":
    main(sys.argv[1:])
