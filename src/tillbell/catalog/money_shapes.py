"""What `data` is in messages about money: orders, transactions, subscriptions."""

from __future__ import annotations

from tillbell.catalog.fields import (
    Shape,
    amount,
    boolean,
    currency,
    many,
    moment,
    one_of,
    open_object,
    part,
    required,
    text,
    texts,
    whole,
)

ORDER_STATES = ("pending", "paid", "cancelled", "refunded", "partially_refunded", "disputed")
TRANSACTION_STATES = (
    "Pending", "On Hold", "Processing", "Approved", "Declined", "Failed", "Cancelled", "Rejected",
)  # fmt: skip
SUBSCRIPTION_STATES = ("created", "trialing", "active", "suspended", "expired", "cancelled")

_CUSTOMER: Shape = {
    "id": text("The shop's id of the customer", "cus_8fd21c"),
    "name": text("Full name", "Ada Lovelace"),
    "email": text("E-mail address", "ada@example.com"),
    "phoneNumber": text("In international form", "+258840000000"),
}

_ADDRESS: Shape = {
    "line1": text("Street and number", "Avenida 25 de Setembro 420"),
    "line2": text("Anything more", None),
    "city": text("City", "Maputo"),
    "postalCode": text("Postal code", "1100"),
    "region": text("State or province", None),
    "country": text("ISO 3166 code of two letters", "MZ"),
}

_PRODUCT: Shape = {
    "id": required(text("The shop's id of the product", "prd_507f1f77")),
    "name": text("Name", "Starter course"),
    "description": text("Description", "Six lessons, for beginners."),
    "price": amount("Price of one", "149.99"),
    "currency": currency("MZN"),
    "sku": text("Stock keeping unit", "COURSE-START"),
    "stock": whole("How many are left; null when not counted", None),
    "imageUrl": text("Picture", "https://shop.example/images/starter-course.png"),
    "metadata": open_object("What the shop keeps with it", {}),
}

PRODUCT: Shape = {
    **_PRODUCT,
    "previousStock": whole("Before a stock change", None),
    "createdAt": moment("When it was made", "2026-04-02T07:00:00Z"),
    "updatedAt": moment("When it last changed", "2026-05-01T08:30:00Z"),
}

_ITEM: Shape = {
    "productId": text("The shop's id of the product", "prd_507f1f77"),
    "productName": text("Its name when ordered", "Starter course"),
    "quantity": whole("How many", 1, least=1),
    "unitPrice": amount("Price of one", "149.99"),
    "totalPrice": amount("Price of all", "149.99"),
    "currency": currency("MZN"),
    "isBumpProduct": boolean("Added by an offer at the checkout", sample=False),
    "product": part("The whole product, when it is known", _PRODUCT),
}

ORDER: Shape = {
    "id": required(text("The shop's id of the order", "ord_673f92b2c3d9")),
    "number": text("What the customer sees", "ORD-1001"),
    "status": required(one_of("Where the order stands", ORDER_STATES, "paid")),
    "paymentStatus": text("Computed from its transactions", "paid"),
    "amount": required(amount("Total", "149.99")),
    "currency": required(currency("MZN")),
    "gateway": text("How it was paid", "EMIS_GPO"),
    "reference": text("The gateway's reference of the payment", "PC673F92_1A"),
    "createdAt": moment("When it was placed", "2026-05-01T08:30:00Z"),
    "paidAt": moment("When it was paid", "2026-05-01T08:42:18Z"),
    "cancelledAt": moment("When it was cancelled", None),
    "cancelReason": text("`cancelled`, `expired` or the shop's own word", None),
    "refundedAt": moment("When money was last given back", None),
    "refundedAmount": amount("All money given back so far", None),
    "paidAmount": amount("What its transactions have credited", None),
    "affiliateId": text("Who sent the customer", None),
    "customer": part("Who bought", _CUSTOMER),
    "shippingAddress": part("Where it goes", _ADDRESS),
    "items": many("What was bought", _ITEM),
    "metadata": open_object("What the shop keeps with it", {"campaign": "spring"}),
}

TRANSACTION: Shape = {
    "id": required(text("Our id", "trx_01k0q2m8c4v7n9x3t5w6y8z0ab")),
    "uid": text("The id its owner gave it", "PAY-1001"),
    "direction": required(one_of("Whose money moves", ("pay_in", "pay_out"), "pay_in")),
    "status": required(one_of("Normalized; decide by it", TRANSACTION_STATES, "Approved")),
    "previousStatus": one_of("Before this transition", TRANSACTION_STATES, "Pending"),
    "sequence": whole("Counts its transitions, without gaps", 2, least=1),
    "substate": text("More precise, never a reason to move money", None),
    "reason": text("Why it ended so", None),
    "rawStatus": text("The provider's own word; do not decide by it", "confirmed"),
    "message": text("For a person", "Payment confirmed and processed"),
    "amount": required(amount("How much moves; once Approved, what was credited", "100.00")),
    "currency": required(currency("EUR")),
    "requestedAmount": amount("How much was asked for", "100.00"),
    "authorizedAmount": amount("How much the provider reserved", "100.00"),
    "capturedAmount": amount("How much the provider captured", "100.00"),
    "creditedAmount": amount("How much was credited", "100.00"),
    "refundedAmount": amount("How much was refunded", "0.00"),
    "chargedBackAmount": amount("How much was charged back", "0.00"),
    "reinstatedAmount": amount("How much of the chargebacks came back", "0.00"),
    "reversedAmount": amount("How much was reversed", "0.00"),
    "settlementAmount": amount("In the currency that the provider pays out", None),
    "settlementCurrency": currency(None),
    "pspTransactionId": text("The provider's id", "HS923856HU"),
    "pspReference": text("The provider's second id", None),
    "provider": text("Whose callback told us", "forumpay"),
    "sourceId": text("Which of our sources received it", "src_01k0q2m8c4v7n9x3t5w6y8z0cd"),
    "userId": text("Whose account it is", "user_123"),
    "merchantReference": text("The merchant's own reference", "your-internal-ref"),
    "orderId": text("The order it pays", "ord_673f92b2c3d9"),
    "parentId": text("What it refunds or reverses", None),
    "metadata": open_object("What its owner keeps with it", {}),
    "createdAt": moment("When we first knew of it", "2026-05-01T08:41:55Z"),
    "updatedAt": moment("When this transition happened", "2026-05-01T08:42:18Z"),
}

SUBSCRIPTION: Shape = {
    "id": required(text("The shop's id of the subscription", "sub_51c9a0")),
    "status": required(one_of("Where it stands", SUBSCRIPTION_STATES, "active")),
    "plan": text("What was subscribed to", "Monthly box"),
    "amount": required(amount("Per period", "29.99")),
    "currency": required(currency("USD")),
    "interval": one_of("Length of a period", ("day", "week", "month", "year"), "month"),
    "intervalCount": whole("How many of them", 1, least=1),
    "currentPeriodStart": moment("Paid from", "2026-05-01T00:00:00Z"),
    "currentPeriodEnd": moment("Paid until", "2026-06-01T00:00:00Z"),
    "trialEnd": moment("End of the free time", None),
    "cancelledAt": moment("When it was cancelled", None),
    "effectiveAt": moment("When the cancellation counts: now or at the period's end", None),
    "reason": text("Why it changed so", None),
    "orderId": text("The order that began or renewed it", "ord_673f92b2c3d9"),
    "transactionId": text("The payment", "trx_01k0q2m8c4v7n9x3t5w6y8z0ab"),
    "customer": part("Who subscribed", _CUSTOMER),
    "metadata": open_object("What the shop keeps with it", {}),
    "createdAt": moment("When it began", "2026-05-01T00:00:00Z"),
}

_CONSENT: Shape = {
    "isGiven": required(boolean("Whether they agreed", sample=True)),
    "source": text("Where they said so", "checkout"),
    "at": moment("When they said so", "2026-05-01T08:29:00Z"),
}

CUSTOMER: Shape = {
    **_CUSTOMER,
    "id": required(_CUSTOMER["id"]),
    "address": part("Where they live", _ADDRESS),
    "consent": part("Whether they agreed to be written to", _CONSENT),
    "tags": texts("The shop's labels", ["newsletter"]),
    "metadata": open_object("What the shop keeps with them", {}),
    "createdAt": moment("When they first came", "2026-04-28T12:00:00Z"),
    "updatedAt": moment("When something last changed", "2026-05-01T08:30:00Z"),
}
