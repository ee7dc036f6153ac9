"""A refund that nobody proved is made with its acceptance by a person, in one commit."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.money.teller import APPROVED, FAILED, linked, news
from tests.web.site import Site
from tests.web.till import Till
from tillbell.errors import StoreUnavailable
from tillbell.model.callbacks import ProviderAmount
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import ChangeSet


class DiesAfterChange:
    """A database after whose next commit of a decision nothing more is done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def commit_changes(self, change: ChangeSet) -> None:
        await self._database.commit_changes(change)
        raise StoreUnavailable("The process died here.")


@pytest.fixture
def till(site: Site) -> Till:
    return Till(site)


@pytest.mark.parametrize("status", [APPROVED, FAILED])
def test_accepting_an_unproven_refund_makes_what_it_told(
    till: Till, status: TransactionStatus
) -> None:
    till.begin(uid="u")
    till.tell(news("u", APPROVED))
    for own_id in ("r1", "r2"):
        told = linked(
            "u",
            TransactionKind.REFUND,
            own_id,
            status=status,
            amount=ProviderAmount("10.00", "EUR"),
        )
        till.tell(told, trust=Trust.SECRET)
    assert till.shown("u")["children"] == []
    second, first = till.get("conflict", open="true")["data"]
    assert first["kind"] == second["kind"] == "unconfirmed_linked"

    done = till.post(f"conflict/{first['id']}/accept", {"reason": "the bank shows it"})
    till.idle()

    assert (done.status_code, done.json()["resolution"]) == (200, "accept")
    shown = till.shown("u")
    children = [(one["type"], one["status"], one["amount"]) for one in shown["children"]]
    assert children == [("refund", status.value, "10.00")]
    assert shown["status"] == "Approved"


def test_a_crash_after_an_acceptance_is_stored_loses_no_refund(till: Till) -> None:
    till.begin(uid="u")
    till.tell(news("u", APPROVED))
    told = linked(
        "u", TransactionKind.REFUND, "r1", status=APPROVED, amount=ProviderAmount("10.00", "EUR")
    )
    till.tell(told, trust=Trust.SECRET)
    (conflict,) = till.get("conflict", open="true")["data"]
    office = till.site.gateway.decisions
    database, office.database = office.database, cast("Database", DiesAfterChange(office.database))
    died = till.post(f"conflict/{conflict['id']}/accept", {"reason": "the bank shows it"})
    office.database = database
    till.idle()

    assert died.status_code == 503
    assert till.get(f"conflict/{conflict['id']}")["resolution"] == "accept"
    assert [one["amount"] for one in till.shown("u")["children"]] == ["10.00"]
    callback = till.get(f"callback/{conflict['callbackId']}")
    assert (callback["outcome"], callback["trust"]) == ("applied", "secret")
