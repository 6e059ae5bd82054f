"""
Runs of pytest in a process and a directory of their own, as in a user's project.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUITES = Path(__file__).parent / "suites"

_STRICT = (
    "-Werror",
    # inngest's framework modules define models in pydantic's old way
    "-Wignore:Support for class-based `config`:DeprecationWarning",
)
ASYNCIO = ("-p", "no:anyio", "-o", "asyncio_default_fixture_loop_scope=function")
ANYIO = ("-p", "no:asyncio")
_PLAIN = ("-p", "no:asyncio", "-p", "no:anyio")


@dataclass(frozen=True)
class Result:
    """
    What came of a run.
    """

    code: int
    output: str

    def passed(self, count: int) -> bool:
        """
        Whether so many tests passed, and nothing else happened.
        """
        return self.code == 0 and f"{count} passed in" in self.output


def write(suite: str, directory: Path, name: str = "") -> None:
    """
    Put one of the suites into *directory*, perhaps by another name.
    """
    (directory / f"test_{name or suite}.py").write_text((SUITES / f"{suite}.py").read_text("utf-8"), "utf-8")


def run(directory: Path, *options: str, **environment: str) -> Result:
    """
    Run all tests in *directory*, with those options of pytest and variables.
    """
    command = [sys.executable, "-m", "pytest", *_STRICT, "-p", "no:cacheprovider", f"--rootdir={directory}"]
    result = subprocess.run(
        [*command, *(options or _PLAIN), directory],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Result(result.returncode, result.stdout + result.stderr)
