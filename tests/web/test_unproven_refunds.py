"""A refund that nobody proved is made with its acceptance by a person, in one commit."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.money.payment_harness import APPROVED, FAILED, linked, news
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import ShopClient
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
def shop(served: ServedGateway) -> ShopClient:
    return ShopClient(served)


@pytest.mark.parametrize("status", [APPROVED, FAILED])
def test_accepting_an_unproven_refund_makes_what_it_told(
    shop: ShopClient, status: TransactionStatus
) -> None:
    shop.begin(uid="u")
    shop.tell(news("u", APPROVED))
    for own_id in ("r1", "r2"):
        told = linked(
            "u",
            TransactionKind.REFUND,
            own_id,
            status=status,
            amount=ProviderAmount("10.00", "EUR"),
        )
        shop.tell(told, trust=Trust.SECRET)
    assert shop.shown("u")["children"] == []
    second, first = shop.get("conflict", open="true")["data"]
    assert first["kind"] == second["kind"] == "unconfirmed_linked"

    done = shop.post(f"conflict/{first['id']}/accept", {"reason": "the bank shows it"})
    shop.served.wait_for_callbacks()

    assert (done.status_code, done.json()["resolution"]) == (200, "accept")
    shown = shop.shown("u")
    children = [(one["type"], one["status"], one["amount"]) for one in shown["children"]]
    assert children == [("refund", status.value, "10.00")]
    assert shown["status"] == "Approved"


def test_a_crash_after_an_acceptance_is_stored_loses_no_refund(shop: ShopClient) -> None:
    shop.begin(uid="u")
    shop.tell(news("u", APPROVED))
    told = linked(
        "u", TransactionKind.REFUND, "r1", status=APPROVED, amount=ProviderAmount("10.00", "EUR")
    )
    shop.tell(told, trust=Trust.SECRET)
    (conflict,) = shop.get("conflict", open="true")["data"]
    office = shop.served.gateway.decisions
    database, office.database = office.database, cast("Database", DiesAfterChange(office.database))
    died = shop.post(f"conflict/{conflict['id']}/accept", {"reason": "the bank shows it"})
    office.database = database
    shop.served.wait_for_callbacks()

    assert died.status_code == 503
    assert shop.get(f"conflict/{conflict['id']}")["resolution"] == "accept"
    assert [one["amount"] for one in shop.shown("u")["children"]] == ["10.00"]
    callback = shop.get(f"callback/{conflict['callbackId']}")
    assert (callback["outcome"], callback["trust"]) == ("applied", "secret")
