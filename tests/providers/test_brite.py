"""Brite: numbers of states, unsigned."""

from typing import Any

import msgspec
import pytest

from tests.cases import each
from tillbell.model.callbacks import TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.brite import PROVIDER
from tillbell.providers.kit.base import Incoming, SourceSetup, Unreadable

LISTED = SourceSetup(config={"networks": ["192.0.2.0/24", "2001:db8::/32"]})


def posted(peer: str = "", **body: Any) -> Incoming:
    return Incoming("POST", "/", (), msgspec.json.encode(body), 0, peer=peer)


def heard(setup: SourceSetup = SourceSetup(), **body: Any) -> TransactionNotice:  # noqa: B008 - frozen
    (notice,) = PROVIDER.parse(posted(**body), setup).notices
    assert isinstance(notice, TransactionNotice)
    return notice


@each(
    ("state", "status", "substate"),
    [
        (1, TransactionStatus.PENDING, None),
        (2, TransactionStatus.CANCELLED, None),
        (3, TransactionStatus.FAILED, None),
        (4, TransactionStatus.PENDING, "settling"),
        (5, TransactionStatus.APPROVED, None),
        (7, TransactionStatus.APPROVED, None),
        (6, None, None),
    ],
)
def test_the_states_of_a_transaction(
    state: int, status: TransactionStatus | None, substate: str
) -> None:
    for written in (state, str(state)):
        notice = heard(transaction_id="trx-1001", transaction_state=written)
        assert (notice.status, notice.substate) == (status, substate)
        assert notice.psp_transaction_id == "trx-1001"


@pytest.mark.parametrize(
    ("state", "status", "substate"),
    [
        (2, TransactionStatus.PENDING, "authenticated"),
        (10, TransactionStatus.CANCELLED, None),
        (11, TransactionStatus.FAILED, None),
        (12, TransactionStatus.PENDING, None),
        (5, None, None),
    ],
)
def test_a_completed_session_is_not_paid(
    state: int, status: TransactionStatus | None, substate: str
) -> None:
    notice = heard(session_id="ses-1001", session_state=state)
    assert (notice.status, notice.substate) == (status, substate)
    assert notice.psp_transaction_id is None


def test_an_owner_may_call_a_completed_transaction_approved() -> None:
    own = SourceSetup(config={"statuses": {"4": "Approved", "12": "Approved"}})
    assert heard(own, transaction_id="t", transaction_state=4).status is TransactionStatus.APPROVED
    assert heard(own, session_id="s", session_state=12).status is TransactionStatus.PENDING


def test_the_address_is_all_that_can_be_checked() -> None:
    assert PROVIDER.verify(posted("198.51.100.1"), SourceSetup()).trust is Trust.NONE
    assert PROVIDER.verify(posted("192.0.2.9"), LISTED).trust is Trust.NETWORK
    assert PROVIDER.verify(posted("2001:db8::1"), LISTED).trust is Trust.NETWORK
    for peer in ("198.51.100.1", "", "192.0.2.9, 198.51.100.1"):
        assert PROVIDER.verify(posted(peer), LISTED).trust is None


@each("networks", ["192.0.2.0/24", [5], [None], ["nonsense"], {"a": 1}, 7])
def test_networks_that_are_none_refuse(networks: Any) -> None:
    setup = SourceSetup(config={"networks": networks})
    assert PROVIDER.verify(posted("192.0.2.9"), setup).trust is None


def test_what_anybody_could_send_first_is_no_reason_to_drop_the_true_one() -> None:
    body: dict[str, Any] = {"transaction_id": "trx-1001", "transaction_state": 5}
    assert PROVIDER.parse(posted(**body), SourceSetup()).dedupe_key is None
    assert PROVIDER.parse(posted(**body), LISTED).dedupe_key == "transaction|trx-1001|5"


@pytest.mark.parametrize("body", [{}, {"transaction_state": 5}, {"session_id": "s"}])
def test_a_body_without_id_or_state_is_unreadable(body: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted(**body), SourceSetup())
