"""
A user's test of ten lines, with a mistake in the app or beside it: the file's own name says which.
"""

from pathlib import Path

import fastapi
import inngest.fast_api
from sqlalchemy import StaticPool, create_engine
from sqlmodel import Session, SQLModel

from crossapp_core.testing import Kit
from tests.kit.projects.production import SECRET, production_client, shop_bridge
from tests.kit.projects.tables import Purchase, bundle

mistake = Path(__file__).stem.removeprefix("test_")
engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
client = production_client()
bridge = shop_bridge(client, engine, sold="purchase/craeted" if mistake == "trigger" else "purchase/created")
functions = bridge.functions[:-2] if mistake == "dropped" else [*bridge.functions]
if mistake == "replaced":

    @client.create_function(fn_id="emit-bundle-purchase", trigger=inngest.TriggerEvent(event="purchase/created"))
    async def own(context: inngest.Context) -> None:
        """
        The app's own function, which happens to have the id of one of ours.
        """

    functions.append(own)
app = fastapi.FastAPI()
inngest.fast_api.serve(app, client, functions)


def test_bundle_opens_the_course(crossapp: Kit) -> None:
    """
    A sale reaches the school.
    """
    SQLModel.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([bundle(), Purchase(id="p1", email="ada@example.com", product_id="bundle")])
        session.commit()
    shop = crossapp.app(app, bridge)
    secret = "another secret than the one that was agreed on"
    school = crossapp.peer("ai-hero", secret=secret if mistake == "secret" else SECRET)
    if mistake == "unsold":
        school.products = {"another course"}
    shop.emit("purchase/created", {"purchaseId": "p1"})
    crossapp.settle()
    assert [row.status for row in school.entitlements] == ["pending"]
    engine.dispose()
