from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ACCEPTED, REJECTED = HERE / "accepted.py", HERE / "rejected.py"
_MARK = re.compile(r"  # type: ignore\[([a-z-]+)\]")


def marked() -> dict[int, str]:
    """
    The lines of `rejected.py` that are to be refused, and mypy's code for why.
    """
    lines = enumerate(REJECTED.read_text().splitlines(), 1)
    return {number: mark[1] for number, line in lines if (mark := _MARK.search(line))}


def unmarked(folder: Path) -> Path:
    """
    A copy of `rejected.py` whose marks no longer keep a checker quiet.
    """
    copy = folder / REJECTED.name
    copy.write_text(_MARK.sub("", REJECTED.read_text()))
    return copy


def run(*command: str | Path) -> str:
    """
    What a type checker says with the project's own settings.
    """
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout


class TestMypy:
    def test_tells_right_from_wrong(self, tmp_path: Path) -> None:
        """
        What people write is taken, and every wrong field, and nothing else, is refused for what is wrong with it.
        """
        output = run("mypy", "--no-pretty", "--shadow-file", REJECTED, unmarked(tmp_path), ACCEPTED, REJECTED)
        found = re.findall(r"^(.+?):(\d+): error: .*\[([a-z-]+)\]$", output, re.MULTILINE)

        assert [line for line in found if not line[0].endswith("rejected.py")] == []
        assert {int(line): code for _, line, code in found} == marked(), output


class TestPyright:
    def test_tells_right_from_wrong(self, tmp_path: Path) -> None:
        """
        What people write is taken, and every wrong field, and nothing else, is refused.
        """
        report = json.loads(
            run("pyright", "--outputjson", "--pythonpath", sys.executable, ACCEPTED, unmarked(tmp_path))
        )
        found = [entry for entry in report["generalDiagnostics"] if entry["severity"] == "error"]

        assert [entry["message"] for entry in found if not entry["file"].endswith("rejected.py")] == []
        assert {entry["range"]["start"]["line"] + 1 for entry in found} == set(marked()), found
        assert report["summary"]["filesAnalyzed"] >= 2
