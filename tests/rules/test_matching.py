"""A notice finds its transaction by the first way that finds any, and never another's."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillbell.model.callbacks import References
from tillbell.model.transactions import (
    TERMINAL,
    Direction,
    PaymentAttempt,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.rules.payments.matching import MatchingSource, Unmatched, match

SOURCE = "src_1"
HERE = MatchingSource(SOURCE, "psp")
PENDING, APPROVED, DECLINED = (
    TransactionStatus.PENDING,
    TransactionStatus.APPROVED,
    TransactionStatus.DECLINED,
)


def payment(id_: str, status: TransactionStatus = PENDING, **fields: Any) -> Transaction:
    base = Transaction(
        id_, "app_1", Direction.PAY_IN, TransactionKind.PAYMENT, status, 1_000, "EUR", 0, 0
    )
    return base._replace(source_id=SOURCE)._replace(**fields)


def name_of(field: str) -> dict[str, Any]:
    return {field: "O"}


def found(
    *candidates: Transaction, ours: str = "", psp: str = "", own_id: str | None = None
) -> str | None:
    """Return the id of what is meant; None if nothing is."""
    names = References((ours,) if ours else (), (psp,) if psp else ())
    meant = match(candidates, names, HERE, own_id)
    return None if isinstance(meant, Unmatched) else meant.id


def test_the_providers_id_decides_before_ours() -> None:
    names = References(("R",), ("R",))
    by_psp = payment("trx_psp", psp_transaction_id="R")
    others = [payment("R"), payment("trx_uid", uid="R"), payment("trx_order", order_id="R")]

    for order in itertools.permutations([by_psp, *others]):
        assert match(order, names, HERE, None) == by_psp


def test_our_id_decides_before_what_the_merchant_named() -> None:
    ours, named = payment("R"), payment("trx_uid", uid="R")

    for order in itertools.permutations([ours, named]):
        assert match(order, References(("R",)), HERE, None) == ours


@pytest.mark.parametrize("field", ["order_id", "merchant_reference"])
def test_what_fits_two_in_different_ways_means_none(field: str) -> None:
    shared: dict[str, Any] = {field: "R"}
    one_way, other_way = payment("trx_1", uid="R"), payment("trx_2", **shared)

    meant = match((one_way, other_way), References(("R",)), HERE, None)

    assert isinstance(meant, Unmatched)
    assert "trx_1" in meant.why
    assert "trx_2" in meant.why


def test_a_transaction_of_another_source_is_not_meant_unless_its_owner_says_so() -> None:
    other = payment("trx_1", uid="R", source_id="src_2")

    refused = match((other,), References(("R",)), HERE, None)

    assert isinstance(refused, Unmatched)
    assert "another source" in refused.why
    assert match((other,), References(("R",)), HERE._replace(moves_any=True), None) == other


def test_every_attempt_is_known_by_its_id() -> None:
    tries = (
        PaymentAttempt("P1", TransactionStatus.DECLINED, 0),
        PaymentAttempt("P2", TransactionStatus.PENDING, 1),
    )
    tried = payment("trx_1", psp_transaction_id="P2", attempts=tries)

    assert found(tried, psp="P1") == "trx_1"
    assert found(tried, psp="P3") is None


def test_the_providers_id_means_nothing_at_another_source() -> None:
    assert found(payment("trx_1", psp_transaction_id="P", source_id="src_2"), psp="P") is None


def test_the_providers_id_is_good_where_the_source_is_not_known_yet() -> None:
    assert found(payment("trx_1", psp_transaction_id="P", source_id=None), psp="P") == "trx_1"


@pytest.mark.parametrize("name", ["order_id", "merchant_reference"])
def test_of_several_attempts_at_an_order_the_open_one_is_meant(name: str) -> None:
    second = payment("trx_2", **name_of(name))
    first = payment("trx_1", DECLINED, psp_transaction_id="P1", **name_of(name))

    assert found(second, first, ours="O", own_id="P2") == "trx_2"
    assert found(second, first, ours="O") == "trx_2"


@pytest.mark.parametrize("name", ["order_id", "merchant_reference"])
def test_of_several_attempts_the_one_the_provider_knows_is_meant(name: str) -> None:
    second = payment("trx_2", **name_of(name))
    first = payment("trx_1", DECLINED, psp_transaction_id="P1", **name_of(name))

    assert found(second, first, ours="O", own_id="P1") == "trx_1"


def test_a_payment_that_ended_under_another_id_is_not_overwritten() -> None:
    first = payment("trx_1", APPROVED, psp_transaction_id="P1", merchant_reference="M")

    assert found(first, ours="M", own_id="P1") == "trx_1"
    assert found(first, ours="M") == "trx_1"
    assert found(first, ours="M", own_id="P2") is None


def test_of_two_that_are_open_nobody_can_tell() -> None:
    two = payment("trx_2", order_id="O"), payment("trx_1", order_id="O")

    meant = match(two, References(("O",)), HERE, None)

    assert isinstance(meant, Unmatched)
    assert "trx_1" in meant.why
    assert "trx_2" in meant.why


def test_of_several_that_have_ended_none_is_meant() -> None:
    newer, older = (
        payment("trx_2", DECLINED, order_id="O"),
        payment("trx_1", DECLINED, order_id="O"),
    )

    assert found(newer, older, ours="O") is None


def test_what_is_linked_is_never_meant_itself() -> None:
    refund = payment("trx_2", kind=TransactionKind.REFUND, order_id="O", parent_id="trx_1")
    parent = payment("trx_1", APPROVED, order_id="O")

    assert found(refund, parent, ours="O") == "trx_1"
    assert found(refund, ours="O") is None


def test_nothing_found_says_what_was_tried() -> None:
    missing = match((), References(("O1",), ("P1",)), HERE, None)

    assert isinstance(missing, Unmatched)
    assert "O1, P1" in missing.why


ids = st.sampled_from(["A", "B", None])


@given(
    st.lists(st.tuples(st.sampled_from(TransactionStatus), ids, ids, ids), max_size=5),
    st.sampled_from(["A", "B"]),
    ids,
)
def test_whoever_is_meant_bears_the_reference_and_has_not_ended_as_another(
    rows: list[tuple[TransactionStatus, str | None, str | None, str | None]],
    name: str,
    own_id: str | None,
) -> None:
    candidates = [
        payment(f"trx_{n}", status, psp_transaction_id=psp, order_id=order, merchant_reference=ref)
        for n, (status, psp, order, ref) in enumerate(rows)
    ]

    meant = match(candidates, References((name,)), HERE, own_id)

    if isinstance(meant, Unmatched):
        return
    assert own_id == meant.psp_transaction_id or name in (meant.order_id, meant.merchant_reference)
    if own_id is not None and meant.status in TERMINAL:
        assert meant.psp_transaction_id in (own_id, None)
