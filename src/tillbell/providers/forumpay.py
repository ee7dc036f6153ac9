"""ForumPay: payments in coins. The call says that something changed, not what.

`{"payment_id", "reference_no"}`, unsigned. The state is asked for with ForumPay's CheckPayment,
through the source's look-up; the table below maps its words. One order may have several payments.
A body with `webhook_test` is the dashboard's trial call.
Source: forumpay/woocommerce-payment-gateway-plugin.
"""

from __future__ import annotations

from tillbell.model.callbacks import NoteNotice, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.reading import json_object, present_values, text
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    CANCELLED,
    ON_HOLD,
    PENDING,
    STATUSES,
    statuses,
    table,
)

NEVER_A_DUPLICATE = ""  # the same body comes at every change

# The states of CheckPayment.
STATES = table(
    {
        "waiting": PENDING,
        "processing": PENDING,  # seen, not confirmed on the chain
        "zero_confirmed": PENDING,  # an owner may accept it by the setting `statuses`
        "confirmed": APPROVED,  # the amount is compared, so too little is not credited
        "underpayment": ON_HOLD,
        "cancelled": CANCELLED,
        "blocked": ON_HOLD,  # by compliance
    }
)


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Say that nothing is proven."""
    del incoming, setup
    return Verdict(Trust.NONE, "ForumPay signs nothing; the state is asked for.")


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read which payment changed."""
    del setup
    body = json_object(incoming.body)
    if "webhook_test" in body:
        return ParsedNotices(
            (NoteNotice("A trial call of ForumPay's dashboard."),), NEVER_A_DUPLICATE
        )
    payment_id, reference = text(body, "payment_id"), text(body, "reference_no")
    if payment_id is None and reference is None:
        raise Unreadable("Neither payment_id nor reference_no is there.")
    notice = TransactionNotice(
        References(ours=present_values(reference), psp=present_values(payment_id)),
        raw_status="",
        status=None,
        psp_transaction_id=payment_id,
        is_hint=True,
    )
    return ParsedNotices((notice,), NEVER_A_DUPLICATE)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as ForumPay sends it: unsigned."""
    del setup
    return request(case, url, json_body(case.fields), {"content-type": JSON})


PROVIDER = Provider(
    name="forumpay",
    title="ForumPay",
    about="Payments in coins: a hint that the state of one changed.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.NONE,
    bare_trust=Trust.NONE,
    secret=None,
    answers="200.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(STATUSES,),
    note=(
        "The call is unsigned and holds no state: set lookupUrl to something that answers with "
        "CheckPayment's result. When it is sent again, all states that exist and the addresses "
        "it comes from are not known."
    ),
    statuses=statuses(STATES),
    payer_may_retry=True,
)
