"""
Whom TLS trusts. No test needs any authority, and reading all of them takes each new client longer than most tests take.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import certifi

_VARIABLE, _BEFORE = "SSL_CERT_FILE", "CROSSAPP_TEST_SSL_CERT_FILE"
_END = "-----END CERTIFICATE-----\n"


def trust_one() -> None:
    """
    Have this process and those that it starts trust one authority alone.
    """
    # a worker of pytest-xdist has the variables of the process that started it
    os.environ.setdefault(_BEFORE, os.environ.get(_VARIABLE, ""))
    first = Path(certifi.where()).read_text("utf-8").partition(_END)[0] + _END
    handle, name = tempfile.mkstemp(suffix=".pem")
    with open(handle, "w", encoding="utf-8") as file:
        file.write(first)
    atexit.register(Path(name).unlink, missing_ok=True)
    os.environ[_VARIABLE] = name


def environ_that_trusts_all() -> Mapping[str, str]:
    """
    The variables for a process that downloads something.
    """
    others = {name: value for name, value in os.environ.items() if name not in (_VARIABLE, _BEFORE)}
    before = os.environ.get(_BEFORE)
    return others | {_VARIABLE: before} if before else others
