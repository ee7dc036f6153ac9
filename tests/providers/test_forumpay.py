"""ForumPay: a call that proves and says nothing but which payment changed."""

from typing import Any

import msgspec
import pytest

from tillbell.model.callbacks import NoteNotice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.forumpay import PROVIDER
from tillbell.providers.kit.base import Incoming, SourceSetup, Unreadable

HINT = {"payment_id": "9c6f0e1a-demo", "reference_no": "ORD-1001"}


def posted(body: Any) -> Incoming:
    return Incoming("POST", "/api/webhooks/forumpay", (), msgspec.json.encode(body), 0)


def test_a_call_is_a_hint_whatever_it_claims() -> None:
    incoming = posted({**HINT, "status": "confirmed", "state": "confirmed"})
    assert PROVIDER.verify(incoming, SourceSetup()).trust is Trust.NONE
    (notice,) = PROVIDER.parse(incoming, SourceSetup()).notices
    assert isinstance(notice, TransactionNotice)
    assert (notice.is_hint, notice.status, notice.amount) == (True, None, None)
    assert notice.references == (("ORD-1001",), ("9c6f0e1a-demo",))


def test_the_same_body_is_never_a_duplicate() -> None:
    assert PROVIDER.parse(posted(HINT), SourceSetup()).dedupe_key == ""


def test_a_trial_call_is_only_noted() -> None:
    (notice,) = PROVIDER.parse(posted({"webhook_test": True}), SourceSetup()).notices
    assert isinstance(notice, NoteNotice)


def test_a_call_that_names_no_payment_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted({"payment_id": "", "reference_no": None}), SourceSetup())


def test_every_state_of_a_look_up_means_something() -> None:
    assert PROVIDER.statuses == {
        "waiting": TransactionStatus.PENDING,
        "processing": TransactionStatus.PENDING,  # seen, not confirmed on the chain
        "zeroconfirmed": TransactionStatus.PENDING,
        "confirmed": TransactionStatus.APPROVED,
        "underpayment": TransactionStatus.ON_HOLD,
        "cancelled": TransactionStatus.CANCELLED,
        "blocked": TransactionStatus.ON_HOLD,  # by compliance
    }
