"""What PayPal's event names mean. Source: developer.paypal.com, Webhook event names."""

from __future__ import annotations

import re

from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    PENDING,
    SETTLING,
    linked,
    table,
)

EVENTS = table(
    {
        "CHECKOUT.ORDER.APPROVED": PENDING,  # by the payer; the merchant has to capture it
        "PAYMENT.AUTHORIZATION.CREATED": AUTHORIZED,
        "PAYMENT.AUTHORIZATION.VOIDED": CANCELLED,
        "PAYMENT.CAPTURE.PENDING": SETTLING,
        "PAYMENT.CAPTURE.COMPLETED": APPROVED,
        "PAYMENT.CAPTURE.DECLINED": DECLINED,
        "PAYMENT.CAPTURE.DENIED": DECLINED,
        "PAYMENT.CAPTURE.REFUNDED": linked(TransactionKind.REFUND),
        "PAYMENT.CAPTURE.REVERSED": linked(TransactionKind.REVERSAL),
        "PAYMENT.SALE.PENDING": SETTLING,
        "PAYMENT.SALE.COMPLETED": APPROVED,
        "PAYMENT.SALE.DENIED": DECLINED,
        "PAYMENT.SALE.REFUNDED": linked(TransactionKind.REFUND),
        "PAYMENT.SALE.REVERSED": linked(TransactionKind.REVERSAL),
    }
)
# With the outcome, where the event tells one.
DISPUTES = table(
    {
        "CUSTOMER.DISPUTE.CREATED": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "CUSTOMER.DISPUTE.UPDATED": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "CUSTOMER.DISPUTE.RESOLVED RESOLVED_BUYER_FAVOUR": linked(TransactionKind.CHARGEBACK),
        "CUSTOMER.DISPUTE.RESOLVED RESOLVED_SELLER_FAVOUR": linked(
            TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED
        ),
        "CUSTOMER.DISPUTE.RESOLVED CANCELED_BY_BUYER": linked(
            TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED
        ),
    }
)
FORWARDED = re.compile(r"[A-Z][A-Z0-9_-]{1,30}(\.[A-Z][A-Z0-9_-]{1,40}){1,4}")
