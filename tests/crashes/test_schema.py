"""
What is left of the tables when a process dies while it makes them.
"""

from __future__ import annotations

from sqlalchemy import Engine, inspect

from tests.crashes.deaths import KILLS, Fate
from tests.crashes.processes import Zygote
from tests.crashes.world import drop_all, running

_ROUNDS = 2
_STATEMENTS = 28


async def test_making_tables(server: str, zygote: Zygote) -> None:
    """
    An app that is killed while it makes its tables makes the rest of them when it is started again.
    """
    deaths = []
    async with running(server, zygote) as world:
        for app in world.apps:
            engine = world.databases[app.name]
            app.start()
            await app.ready()
            wanted = tables_of(engine)
            for number in range(_ROUNDS):
                app.stop()
                drop_all(engine)
                fate = Fate(number, kills=2, manners=KILLS, young=1, start=_STATEMENTS)
                app.doom(fate)
                app.start()
                await app.ready()
                app.doom(None)
                assert tables_of(engine) == wanted
                deaths += fate.deaths
    assert len([death for death in deaths if death.what.startswith("CREATE")]) >= 2


def tables_of(engine: Engine) -> dict[str, object]:
    """
    The columns and constraints of all tables, and their indexes where those can't be lost.

    On MariaDB each statement that makes something is a transaction of its own, and SQLAlchemy makes indexes after their
    table, which it passes over the next time.
    """
    found = inspect(engine)
    return {
        table: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(table)],
            sorted(str(unique["column_names"]) for unique in found.get_unique_constraints(table)),
            sorted(str(key["constrained_columns"]) for key in found.get_foreign_keys(table)),
            sorted(str(index["column_names"]) for index in found.get_indexes(table))
            if engine.dialect.name == "postgresql"
            else (),
        )
        for table in found.get_table_names()
    }
