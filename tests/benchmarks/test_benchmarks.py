from __future__ import annotations

import pytest

from benchmarks.__main__ import BENCHMARKS, lines, row
from benchmarks.measuring import Effort, Line, Note, Sample, with_spread

LITTLE = Effort(rounds=1, share=0.01, rows=2_000)
"""Enough to see that it runs; what it measures then means nothing."""


class TestBenchmarks:
    @pytest.mark.parametrize("name", BENCHMARKS)
    def test_runs(self, name: str) -> None:
        """
        Each of them measures something, or says what is missing.
        """
        items = list(lines(name, LITTLE))
        measured = [item for item in items if isinstance(item, Line)]

        assert measured or any(isinstance(item, Note) and "see CONTRIBUTING.md" in item.text for item in items)
        for line in measured:
            assert line.ratio.median > 0
            assert row(line).count(" | ") == 4


class TestSample:
    def test_shows_spread(self) -> None:
        """
        A time is shown as its median, with the half of the way between its quartiles.
        """
        assert with_spread(Sample([0.001, 0.0012, 0.0009, 0.001, 0.0011])) == "1 ms ± 5%"

    def test_ratio(self) -> None:
        """
        A ratio is taken round by round, so that what slows down a whole round leaves it as it is.
        """
        line = Line("it", "peer", Sample([1.0, 10.0, 1.0]), Sample([2.0, 20.0, 2.0]), "≤ 1.5")
        faster = Line("it", "peer", Sample([3.0]), Sample([2.0]), "≥ 1.5", is_throughput=True)

        assert line.ratio.values == [2.0, 2.0, 2.0]
        assert faster.ratio.median == 1.5
