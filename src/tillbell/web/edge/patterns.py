"""The forms that texts of the API must have, each with its rule in words.

A caller who breaks one is told the rule (`problems.py`), not the expression.
"""

from __future__ import annotations

from collections.abc import Mapping

UID = r"^[a-zA-Z0-9\-_.]+$"
LABEL = r"^[a-zA-Z0-9\-_.:]+$"
EVENT_TYPE = r"^[a-zA-Z0-9\-_./:]+$"
ITERATOR = r"^-?[a-z]+_[0-9a-z]+$"
MESSAGE_ITERATOR = r"^msg_[0-9a-z]{26}$"
KEY_SCOPE = (
    r"^(admin|write|read|view|publish|(key|person):admin|[a-z\-]{1,64}:(publish|read|write))$"
)
METHOD = "^[A-Z]{3,7}$"
AMOUNT = r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,30})?$"
ORDER_REFERENCE = r"^(orderId|merchantReference|metadata\.[^.]{1,128})$"
PROVIDER = r"^[a-z0-9\-]+$"
COLOUR = "^#[0-9a-fA-F]{6}$"

RULES: Mapping[str, str] = {
    UID: "may have letters, digits, '-', '_' and '.'",
    LABEL: "may have letters, digits, '-', '_', '.' and ':'",
    EVENT_TYPE: "may have letters, digits, '-', '_', '.', '/' and ':'",
    ITERATOR: "is not an iterator; pass `iterator` or `prevIterator` of another page, as it is",
    MESSAGE_ITERATOR: "is not an iterator; pass `iterator` of the poll before, as it is",
    KEY_SCOPE: "must be admin, write, read, view, publish, or a resource with :read or :write, "
    "such as endpoint:write",
    METHOD: "must be an HTTP method in capitals, such as POST",
    AMOUNT: "must be an amount above or equal to zero in whole units, such as 100.00",
    COLOUR: "must be a colour such as #0a7ea4",
    ORDER_REFERENCE: "must be orderId, merchantReference, or metadata. and the name of a member",
    PROVIDER: "may have small letters, digits and '-', as `GET /api/v1/provider` lists it",
}
