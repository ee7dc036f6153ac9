"""The owner account, made beside a running gateway."""

from __future__ import annotations

from pathlib import Path

from tillbell.clock import SystemClock
from tillbell.configure.passwords import HashCost, Passwords
from tillbell.configure.people import NewAccount, People, Visitor
from tillbell.ids import IdMaker
from tillbell.storage.sqlite.database import SqliteDatabase

ANA = NewAccount("ana@shop.example", "Ana", "correct horse battery")
HOME = Visitor("203.0.113.7")


async def create_owner(data_dir: Path, token: str) -> str:
    """Make the owner by a link, beside the gateway; return the token of the session."""
    database = SqliteDatabase(data_dir / "tillbell.db", SystemClock())
    await database.open_beside()
    try:
        people = People(database, SystemClock(), IdMaker(), Passwords(HashCost(1, 8)))
        return (await people.create_first(token, ANA, HOME)).token
    finally:
        await database.close()
