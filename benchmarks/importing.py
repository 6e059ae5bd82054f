"""
Importing what builds an event, against importing pydantic and defining a model.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.measuring import OURS, Effort, Line, Note, race, repeat, shown

PEER = "pydantic and one model"
_PROGRAMS = {
    OURS: "from crossapp_core.events import BundlePurchased",
    PEER: "from pydantic import BaseModel\nclass Model(BaseModel):\n    id: str",
    "import pydantic": "import pydantic",
    "nothing": "",
}


def lines(effort: Effort) -> Iterator[Line | Note]:
    """
    In new interpreters; what these take to start is left out.
    """
    works = {name: repeat(partial(_run, code)) for name, code in _PROGRAMS.items()}
    measured = race(works, effort, times=1)
    start = measured.pop("nothing")
    net = {name: sample - start for name, sample in measured.items()}
    yield Line("import what builds events", PEER, net[PEER], net[OURS], "≤ 1.3")
    lazily = shown(net["import pydantic"].median)
    yield Note(
        f"`import pydantic` alone takes {lazily}, since it loads its parts when they are first used; an interpreter "
        f"starts in {shown(start.median)}, which is in none of these."
    )


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)
