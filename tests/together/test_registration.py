from __future__ import annotations

import subprocess
import sys

HOST = """
from sqlmodel import Field, SQLModel

import crossapp_ah
import crossapp_ah.tables
import crossapp_core.tables
import crossapp_tt
import crossapp_tt.tables

assert not SQLModel.metadata.tables, SQLModel.metadata.tables

class Entitlement(SQLModel, table=True):
    __tablename__ = "Entitlement"
    id: int | None = Field(default=None, primary_key=True)

class Membership(crossapp_ah.EntitlementBase, table=True):
    __tablename__ = "membership"

assert set(SQLModel.metadata.tables) == {"Entitlement", "membership"}, SQLModel.metadata.tables

import crossapp_tt.models

ours = {"AccountLink", "AccountLinkToken", "CrossAppSync", "CrossAppCursor"}
assert set(SQLModel.metadata.tables) == {"Entitlement", "membership"} | ours, SQLModel.metadata.tables
"""

BRIDGES = """
import inngest
from pydantic import SecretStr
from sqlalchemy import create_engine
from sqlmodel import Field, SQLModel

import crossapp_ah as ah
import crossapp_tt as tt
from crossapp_core import Peer, Settings

class Entitlement(SQLModel, table=True):
    __tablename__ = "Entitlement"
    id: int | None = Field(default=None, primary_key=True)

class Membership(ah.EntitlementBase, table=True):
    __tablename__ = "membership"

class Purchase(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    user_id: int
    product_id: int
    status: str

peer = Peer(app_id="third-app", event_key=SecretStr("k"), secret=SecretStr("s" * 32))
settings = Settings("both", [peer])
client = inngest.Inngest(app_id="both", is_production=False)
engine = create_engine("sqlite://")
seller = tt.Bridge(
    client, engine, settings=settings, purchases=tt.TablePurchases(Purchase, owned=Purchase.status == "Valid"),
    bundles={},
)
granter = ah.Bridge(client, engine, settings=settings, products=ah.FixedProducts(["p"]), entitlements=Membership)
SQLModel.metadata.create_all(engine)
assert {"Entitlement", "membership", "CrossAppSync", "AccountLink"} <= set(SQLModel.metadata.tables)
functions = {id(function): function.id for bridge in (seller, granter) for function in bridge.functions}
assert len(functions) == len(set(functions.values())) == 14, functions
"""


def run(code: str) -> str:
    """
    What a process of its own says, in which nothing else was imported.
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


class TestImports:
    def test_registers_no_table(self) -> None:
        """
        Importing the packages and their mixins registers no table; the modules with the ready ones do.
        """
        assert run(HOST) == ""

    def test_both_beside_own_entitlement(self) -> None:
        """
        One app may be seller and granter at once, beside a table of its own that is called Entitlement.
        """
        assert run(BRIDGES) == ""
