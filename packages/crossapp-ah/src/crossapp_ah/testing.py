"""
A granter for the simulator, `crossapp_core.testing.simulation`: what it can't know of one, and a ready school.

    class Histories(simulation.Histories):
        seller, granter = make_shop, make_school
"""

from sqlmodel import Field, Session, col, delete

from crossapp_ah.bridge import Bridge
from crossapp_ah.ports import Access, TableProducts
from crossapp_ah.tables import EntitlementBase
from crossapp_core.columns import column_of
from crossapp_core.table_ports import TableAccounts, TableUsers
from crossapp_core.testing.simulation.places import EntitlementRow, Place
from crossapp_core.testing.simulation.rows import Rows
from crossapp_core.testing.simulation.tables import (
    METADATA,
    AccountLink,
    AccountLinkToken,
    Apart,
    CrossAppCursor,
    Human,
    PeopleInTables,
    SignIn,
)

__all__ = ["School", "SimulatedGranter", "make_school"]

_ENTITLEMENTS = (
    *("source_app", "source_purchase_id", "product_id", "status", "source_version", "user_id", "source_user_id"),
    "next_attempt_at",
)


class SimulatedGranter:
    """
    Base of a granter in the simulator: what can be read off any bridge. The rest is said by `GranterHost`.
    """

    def __init__(self, bridge: Bridge) -> None:
        table = bridge.host.entitlements
        self.bridge = bridge
        self.entitlements: Rows[EntitlementRow] = Rows(
            table, _ENTITLEMENTS, EntitlementRow, column_of(table, "source_app").is_not(None)
        )
        self.opened: Rows[tuple[str, str]] | None = None


class SchoolProduct(Apart, table=True):
    """
    A course of the school.
    """

    __tablename__ = "school_product"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True)


class Role(Apart, table=True):
    """
    That somebody may use a course, as the school's own pages ask.
    """

    __tablename__ = "role"  # pyright: ignore[reportAssignmentType]

    user_id: str = Field(primary_key=True)
    product_id: str = Field(primary_key=True)


class Entitlement(EntitlementBase, Apart, table=True):
    """
    What was bought elsewhere.
    """

    __tablename__ = "Entitlement"  # pyright: ignore[reportAssignmentType]


class School(PeopleInTables, SimulatedGranter):
    """
    A school on plain tables.
    """

    def __init__(self, bridge: Bridge) -> None:
        super().__init__(bridge)
        self.app_id = bridge.settings.app_id
        self.opened = Rows(Role, ("user_id", "product_id"), lambda *pair: pair)

    def teach(self, session: Session, name: str) -> str:
        """
        Have a course of that name; its id.
        """
        session.merge(SchoolProduct(id=name))
        return name

    def withdraw(self, session: Session, product_id: str) -> None:
        """
        Have a course no more.
        """
        session.exec(delete(SchoolProduct).where(col(SchoolProduct.id) == product_id))


def make_school(place: Place) -> School:
    """
    A school that opens its courses, with its database in memory.
    """
    METADATA.create_all(place.engine)
    bridge = Bridge(
        place.client,
        place.engine,
        settings=place.settings,
        products=TableProducts(SchoolProduct),
        users=TableUsers(Human),
        accounts=TableAccounts(SignIn),
        entitlements=Entitlement,
        links=AccountLink,
        link_tokens=AccountLinkToken,
        cursors=CrossAppCursor,
        on_active=_enroll,
        on_revoked=_expel,
    )
    return School(bridge)


def _enroll(session: Session, access: Access) -> None:
    session.merge(Role(user_id=access.user_id, product_id=access.product_id))


def _expel(session: Session, access: Access) -> None:
    role = session.get(Role, (access.user_id, access.product_id))
    if role is not None:
        session.delete(role)
