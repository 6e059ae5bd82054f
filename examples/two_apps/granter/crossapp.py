"""
The bridge: what makes the school a granter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

import inngest
from sqlalchemy.ext.asyncio import AsyncEngine

import crossapp_ah as ah
from crossapp_core import Settings
from examples.two_apps.granter.config import APP_ID
from examples.two_apps.granter.models import Account, Course, User

log = logging.getLogger(__name__)


def make_bridge(
    client: inngest.Inngest,
    engine: AsyncEngine,
    environ: Mapping[str, str],
    *,
    dev: bool,
    clock: Callable[[], datetime] | None = None,
) -> ah.Bridge:
    """
    The bridge to the shop.
    """
    return ah.Bridge(
        client,
        engine,
        settings=Settings.from_env(APP_ID, peers={"total-typescript": "TT"}, dev=dev, environ=environ),
        products=ah.TableProducts(Course),
        users=ah.TableUsers(User),
        accounts=ah.TableAccounts(Account),
        on_problem=alert,
        clock=clock,
    )


def alert(problem: ah.Problem) -> None:
    """
    Tell whoever looks after the school of what the bridge can't put right alone; a real app pages somebody.
    """
    log.error("%s: %s %s", problem.code, problem.message, ", ".join(problem.ids))
