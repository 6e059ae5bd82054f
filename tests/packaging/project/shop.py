"""
A shop as its engineers write it; one may say by MISTAKE what is wrong in it.
"""

import os

import fastapi
import inngest
import inngest.fast_api
from sqlmodel import Field, SQLModel, StaticPool, col, create_engine

import crossapp_tt as tt
from crossapp_core import Peer, Settings

mistake = os.environ.get("MISTAKE")


class Purchase(SQLModel, table=True):
    """
    A sale.
    """

    id: str = Field(primary_key=True)
    email: str
    product_id: str
    status: str = "Valid"


engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
inngest_client = inngest.Inngest(app_id="shop", event_key="key-of-the-shop", signing_key="signkey-prod-0a1b2c3d")
bridge = tt.Bridge(
    inngest_client,
    engine,
    settings=Settings(
        "total-typescript",
        [Peer(app_id="ai-hero", event_key="key-of-ai-hero", secret=os.environ["CROSS_APP_SECRET"])],
    ),
    purchases=tt.TablePurchases(Purchase, owned=col(Purchase.status) == "Valid"),
    bundles={"bundle": [{"app": "ai-hero", "productId": "course"}]},
    purchase_created=tt.HostEvent("purchase/craeted" if mistake == "trigger" else "purchase/created"),
)
functions = bridge.functions[1:] if mistake == "dropped" else bridge.functions
app = fastapi.FastAPI(lifespan=bridge.lifespan)
inngest.fast_api.serve(app, inngest_client, functions)


def buy(email: str, product_id: str) -> str:
    """
    Sell something.
    """
    SQLModel.metadata.create_all(engine)
    with engine.begin() as connection:
        purchase = {"id": "pur_1", "email": email, "product_id": product_id, "status": "Valid"}
        connection.execute(SQLModel.metadata.tables["purchase"].insert().values(purchase))
    return "pur_1"
