"""The pages that are looked at: add a line for each new one, and all checks are made on it.

A path may name things of the world that it is looked at in (`tests/pages/worlds.py`):
`/messages/{message}`. `{portal}` is where the portal of its application begins. After a hyphen a
name says which state of the page it is.
"""

from __future__ import annotations

from typing import NamedTuple


class Looked(NamedTuple):
    """One page that is looked at."""

    name: str  # of its pictures
    path: str
    needs_data: bool = False  # not there in an empty world
    status: int = 200

    @property
    def page(self) -> str:
        """The page of which this is a state: `messages` of `messages-none`."""
        return self.name.partition("-")[0]


PAGES = (
    Looked("home", "/"),
    Looked("home-app", "/?app={app}", needs_data=True),
    Looked("plots", "/plots"),
    Looked("plots-app", "/plots?app={app}&span=7d", needs_data=True),
    Looked("first-run", "/first-run"),
    Looked("messages", "/messages"),
    Looked("messages-drawer", "/messages?open={message}&of={app}", needs_data=True),
    Looked("messages-app", "/messages?app={app}", needs_data=True),
    Looked("messages-filter", "/messages?filter=type:order.* -tag:test since:24h", needs_data=True),
    Looked("messages-none", "/messages?filter=type:nothing.at.all"),
    Looked("messages-wrong", "/messages?filter=typ:order.paid <script>alert(9)</script>"),
    Looked("message", "/messages/{message}?app={app}", needs_data=True),
    Looked("deliveries", "/deliveries"),
    Looked("deliveries-failed", "/deliveries?filter=status:failed code:410"),
    Looked("attempts", "/attempts"),
    Looked("problems", "/problems"),
    Looked("endpoints", "/endpoints"),
    Looked("endpoints-failing", "/endpoints?filter=health:failing"),
    Looked("endpoints-wrong", "/endpoints?filter=helth:failing"),
    Looked("endpoint", "/endpoints/{endpoint}?app={app}", needs_data=True),
    Looked("endpoint-failing", "/endpoints/{failing}?app={app}&lang=go", needs_data=True),
    Looked("endpoint-gone", "/endpoints/{gone}?app={app}&lang=ruby", needs_data=True),
    Looked("endpoint-filters", "/endpoints/{filters}?app={app}", needs_data=True),
    Looked("types", "/event-types"),
    Looked("type", "/event-types/order.paid"),
    Looked("settings", "/settings"),
    Looked("settings-keys", "/settings/keys"),
    Looked("settings-people", "/settings/people"),
    Looked("account", "/account"),
    Looked("account-totp", "/account/totp"),
    Looked("people-invite", "/settings/people/invite"),
    Looked("people-role", "/settings/people/{person}/role", needs_data=True),
    Looked("people-disable", "/settings/people/{person}/disable", needs_data=True),
    Looked("settings-webhooks", "/settings/webhooks"),
    Looked("settings-audit", "/settings/audit"),
    Looked(
        "settings-audit-endpoint",
        "/settings/audit?filter=target:{down}&open={act}",
        needs_data=True,
    ),
    Looked("settings-audit-entry", "/settings/audit/{act}", needs_data=True),
    Looked("settings-audit-verify", "/settings/audit/verify"),
    Looked("delivery", "/messages/{message}/endpoints/{endpoint}?app={app}", needs_data=True),
    Looked(
        "delivery-failing", "/messages/{message}/endpoints/{failing}?app={app}", needs_data=True
    ),
    Looked(
        "delivery-filtered", "/messages/{message}/endpoints/{filters}?app={app}", needs_data=True
    ),
    Looked(
        "act-resend", "/messages/{message}/endpoints/{failing}/resend?app={app}", needs_data=True
    ),
    Looked("act-replay", "/callbacks/{refused}/replay?app={app}", needs_data=True),
    Looked("act-hold", "/transactions/{waiting}/hold?app={app}", needs_data=True),
    Looked(
        "act-expect-refund", "/transactions/{transaction}/expect-refund?app={app}", needs_data=True
    ),
    Looked("act-reverse", "/transactions/{transaction}/reverse?app={app}", needs_data=True),
    Looked("act-edit", "/messages/{message}/endpoints/{failing}/edit?app={app}", needs_data=True),
    Looked("act-webhook", "/settings/webhooks/new"),
    Looked("act-type", "/event-types/order.paid/change"),
    Looked("act-key", "/settings/keys/new"),
    Looked("act-app", "/settings/applications/change?app={app}", needs_data=True),
    Looked("settings-alerts", "/settings/alerts"),
    Looked("act-alert", "/settings/alerts/{alert}/change", needs_data=True),
    Looked("unsubscribe", "{stop}", needs_data=True),
    Looked("act-retention", "/settings/retention"),
    Looked("applications", "/settings/applications"),
    Looked("providers", "/sources/new"),
    Looked("act-source", "/sources/new/adyen?app={app}", needs_data=True),
    Looked("act-source-change", "/sources/{source}/change?app={app}", needs_data=True),
    Looked("act-source-test", "/sources/{source}/test?app={app}", needs_data=True),
    Looked("inboxes", "/inboxes"),
    Looked("inbox", "/inboxes/{inbox}?app={app}", needs_data=True),
    Looked("inbox-bytes", "/inboxes/{inbox}?app={app}&open={request}", needs_data=True),
    Looked("inbox-empty", "/inboxes/{empty}?app={app}", needs_data=True),
    Looked("act-inbox", "/inboxes/new"),
    Looked("act-inbox-change", "/inboxes/{inbox}/change?app={app}", needs_data=True),
    Looked("inbox-providers", "/inboxes/{inbox}/promote?app={app}", needs_data=True),
    Looked("act-inbox-promote", "/inboxes/{inbox}/promote/stripe?app={app}", needs_data=True),
    Looked(
        "act-inbox-verify",
        "/inboxes/{inbox}/requests/{request}/verify?app={app}",
        needs_data=True,
    ),
    Looked("jobs", "/jobs"),
    Looked("job", "/jobs/{job}?app={app}", needs_data=True),
    Looked("transactions", "/transactions"),
    Looked("transaction", "/transactions/{transaction}?app={app}", needs_data=True),
    Looked("orders", "/orders?app={shop}", needs_data=True),
    Looked("orders-none", "/orders"),
    Looked("orders-filter", "/orders?app={shop}&filter=payment:overpaid", needs_data=True),
    Looked("orders-find", "/orders?app={shop}&q=<b>nobody</b>", needs_data=True),
    Looked("order", "/orders/{order}?app={shop}", needs_data=True),
    Looked("products", "/products?app={shop}", needs_data=True),
    Looked("product", "/products/{product}?app={shop}", needs_data=True),
    Looked("product-plain", "/products/{book}?app={shop}", needs_data=True),
    Looked("act-product-webhook", "/products/{product}/webhook?app={shop}", needs_data=True),
    Looked("act-product-default", "/product-webhook?app={shop}", needs_data=True),
    Looked("customers", "/customers?app={shop}", needs_data=True),
    Looked("customer", "/customers/{customer}?app={shop}", needs_data=True),
    Looked("act-customer-delete", "/customers/{customer}/delete?app={shop}", needs_data=True),
    Looked("act-customer-erase", "/customers/{customer}/erase?app={shop}", needs_data=True),
    Looked("subscriptions", "/subscriptions?app={shop}", needs_data=True),
    Looked("subscriptions-none", "/subscriptions?app={app}", needs_data=True),
    Looked("subscription", "/subscriptions/{subscription}?app={shop}", needs_data=True),
    Looked("shipments", "/shipments?app={shop}", needs_data=True),
    Looked("shipment", "/shipments/{shipment}?app={shop}", needs_data=True),
    Looked("exports", "/exports?app={shop}", needs_data=True),
    Looked("exports-empty", "/exports?app={app}", needs_data=True),
    Looked("imports", "/imports/products?app={shop}", needs_data=True),
    Looked("act-export-link", "/exports/links/new?app={shop}", needs_data=True),
    Looked("act-export-schedule", "/exports/schedules/new?app={shop}", needs_data=True),
    Looked("callbacks", "/callbacks"),
    Looked("callback", "/callbacks/{callback}?app={app}", needs_data=True),
    Looked("callback-refused", "/callbacks/{refused}?app={app}", needs_data=True),
    Looked("sources", "/sources"),
    Looked("source", "/sources/{source}?app={app}", needs_data=True),
    Looked("review", "/review"),
    Looked("search", "/search?q=<script>alert(8)</script>"),
    Looked("search-hits", "/search?q={app}", needs_data=True),
    Looked("nothing", "/nothing", status=404),
    Looked("components", "/ui/components"),
    Looked("act-endpoint-new", "/endpoints/new?app={app}&type=order.paid", needs_data=True),
    Looked("act-endpoint-edit", "/endpoints/{filters}/edit?app={app}", needs_data=True),
    Looked("act-endpoint-delete", "/endpoints/{failing}/delete?app={app}", needs_data=True),
    Looked("act-endpoint-recover", "/endpoints/{endpoint}/recover?app={app}", needs_data=True),
    Looked("portal", "{portal}/endpoints", needs_data=True),
    Looked("portal-endpoint", "{portal}/endpoints/{failing}", needs_data=True),
    Looked("portal-messages", "{portal}/messages?open={message}", needs_data=True),
    Looked("portal-test", "{portal}/endpoints/{endpoint}/test", needs_data=True),
    Looked("portal-closed", "/portal/nobody/endpoints", status=401),
)

# Where nobody is signed in. Their rules of accessibility: test_sign_in.py.
SIGNED_OUT = (
    Looked("login", "/login"),
    Looked("login-next", "/login?next=%2Fmessages"),
    Looked("invitation", "/setup/{invitation}", needs_data=True),
    Looked("setup-old", "/setup/0123456789", status=404),
)
