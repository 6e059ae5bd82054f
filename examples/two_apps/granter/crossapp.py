"""
The bridge: what makes the school a granter.
"""

from __future__ import annotations

from collections.abc import Mapping

import inngest
from sqlalchemy.ext.asyncio import AsyncEngine

import crossapp_ah as ah
from crossapp_core import Settings
from examples.two_apps.granter.config import APP_ID
from examples.two_apps.granter.models import Account, Course, User


def make_bridge(client: inngest.Inngest, engine: AsyncEngine, environ: Mapping[str, str], *, dev: bool) -> ah.Bridge:
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
    )
