"""Who may use which route: the one table of routes, scopes and capabilities.

A route has the name of its operation in the OpenAPI document. Its row names the resource and the
action of the scope that it needs (`endpoint:write`), whose data it touches, and the capability
that a portal token needs; without one, no portal token may use it. A route without a row is not
served: the program does not start.

Pages (`web/pages/`) are another kind of route: a person who is signed in may see them, and an API
key opens none. The API in turn takes no cookie.

`source:write` and `callback:write` decide whose word is believed, so they are worth as much as
`transaction:write`: give them to the same people.
"""

from __future__ import annotations

from tillbell.web.edge.auth import Access, Action, Capability, Tenant

READ, WRITE, PUBLISH, ADMIN = Action.READ, Action.WRITE, Action.PUBLISH, Action.ADMIN
APPLICATION, OPERATOR = Tenant.APPLICATION, Tenant.OPERATOR
SHARED, OWN = Tenant.SHARED, Tenant.OWN
VIEW = Capability.VIEW_BASE

PUBLIC = frozenset({"health.get", "health.ping"})
"""Routes that need no key."""

PUBLIC_PAGES = frozenset({"/login", "/setup/{token}"})
"""Pages that need nobody to be signed in, beside `/docs` and `/static`. All others do."""

ACCESS: dict[str, Access] = {
    "application.create": Access("application", WRITE, OPERATOR),
    "application.list": Access("application", READ, OPERATOR),
    "application.get": Access("application", READ, APPLICATION, VIEW),
    "application.upsert": Access("application", WRITE, OPERATOR),
    "application.patch": Access("application", WRITE, OPERATOR),
    "application.delete": Access("application", WRITE, OPERATOR),
    "endpoint.list": Access("endpoint", READ, APPLICATION, VIEW),
    "endpoint.create": Access("endpoint", WRITE, APPLICATION, Capability.MANAGE_ENDPOINT),
    "endpoint.get": Access("endpoint", READ, APPLICATION, VIEW),
    "endpoint.upsert": Access("endpoint", WRITE, APPLICATION, Capability.MANAGE_ENDPOINT),
    "endpoint.patch": Access("endpoint", WRITE, APPLICATION, Capability.MANAGE_ENDPOINT),
    "endpoint.delete": Access("endpoint", WRITE, APPLICATION, Capability.MANAGE_ENDPOINT),
    "endpoint.get-headers": Access("endpoint", READ, APPLICATION, VIEW),
    "endpoint.set-headers": Access("endpoint", WRITE, APPLICATION, Capability.MANAGE_ENDPOINT),
    "endpoint.patch-headers": Access("endpoint", WRITE, APPLICATION, Capability.MANAGE_ENDPOINT),
    "endpoint.get-secret": Access("endpoint", WRITE, APPLICATION, Capability.VIEW_SECRET),
    "endpoint.rotate-secret": Access("endpoint", WRITE, APPLICATION, Capability.MANAGE_SECRET),
    "endpoint.stats": Access("endpoint", READ, APPLICATION, VIEW),
    "endpoint.attempt-stats": Access("endpoint", READ, APPLICATION, VIEW),
    "endpoint.recover": Access("endpoint", WRITE, APPLICATION, Capability.CREATE_ATTEMPTS),
    "endpoint.replay-missing": Access("endpoint", WRITE, APPLICATION, Capability.CREATE_ATTEMPTS),
    "endpoint.bulk-replay": Access("endpoint", WRITE, APPLICATION, Capability.CREATE_ATTEMPTS),
    "endpoint.send-example": Access("endpoint", WRITE, APPLICATION, Capability.CREATE_ATTEMPTS),
    "filter.completion": Access("event-type", READ, OWN, VIEW),
    "overview.messages": Access("message", READ, OWN, VIEW),
    "overview.endpoints": Access("endpoint", READ, OWN, VIEW),
    "overview.deliveries": Access("delivery", READ, OWN, VIEW),
    "overview.attempts": Access("attempt", READ, OWN, VIEW),
    "overview.callbacks": Access("callback", READ, OWN),
    "overview.transactions": Access("transaction", READ, OWN),
    "overview.conflicts": Access("conflict", READ, OWN),
    "overview.audit": Access("audit", READ, OWN),
    "event-type.list": Access("event-type", READ, SHARED, VIEW),
    "event-type.create": Access("event-type", WRITE, OPERATOR),
    "event-type.catalog": Access("event-type", READ, SHARED, VIEW),
    "event-type.get": Access("event-type", READ, SHARED, VIEW),
    "event-type.upsert": Access("event-type", WRITE, OPERATOR),
    "event-type.patch": Access("event-type", WRITE, OPERATOR),
    "event-type.delete": Access("event-type", WRITE, OPERATOR),
    "message.list": Access("message", READ, APPLICATION, VIEW),
    "message.precheck": Access("message", READ, APPLICATION, VIEW),
    "message.bulk-expunge": Access("message", WRITE, APPLICATION),
    "message.expunge-all-contents": Access("message", WRITE, APPLICATION),
    "message.get": Access("message", READ, APPLICATION, VIEW),
    "message.expunge-content": Access("message", WRITE, APPLICATION),
    "message.list-attempted-destinations": Access("message", READ, APPLICATION, VIEW),
    "message-attempt.list-by-endpoint": Access("attempt", READ, APPLICATION, VIEW),
    "message-attempt.list-by-msg": Access("attempt", READ, APPLICATION, VIEW),
    "message-attempt.list-by-msg-old": Access("attempt", READ, APPLICATION, VIEW),
    "message-attempt.list-for-endpoint-old": Access("attempt", READ, APPLICATION, VIEW),
    "message-attempt.list-attempted-messages": Access("attempt", READ, APPLICATION, VIEW),
    "message-attempt.get": Access("attempt", READ, APPLICATION, VIEW),
    "message-attempt.expunge-content": Access("attempt", WRITE, APPLICATION),
    "message-attempt.resend": Access("attempt", WRITE, APPLICATION, Capability.CREATE_ATTEMPTS),
    "delivery.list": Access("delivery", READ, APPLICATION, VIEW),
    "delivery.get": Access("delivery", READ, APPLICATION, VIEW),
    "why.endpoint": Access("delivery", READ, APPLICATION, VIEW),
    "why.message": Access("delivery", READ, APPLICATION, VIEW),
    "why.transaction": Access("transaction", READ, APPLICATION),
    "source.list": Access("source", READ, APPLICATION),
    "source.create": Access("source", WRITE, APPLICATION),
    "source.get": Access("source", READ, APPLICATION),
    "source.patch": Access("source", WRITE, APPLICATION),
    "source.delete": Access("source", WRITE, APPLICATION),
    "source.rotate-secret": Access("source", WRITE, APPLICATION),
    "source.test": Access("source", WRITE, APPLICATION),
    "callback.list": Access("callback", READ, APPLICATION),
    "callback.get": Access("callback", READ, APPLICATION),
    "callback.replay-many": Access("callback", WRITE, APPLICATION),
    "callback.replay": Access("callback", WRITE, APPLICATION),
    "provider.list": Access("provider", READ, SHARED),
    "provider.get": Access("provider", READ, SHARED),
    "transaction.list": Access("transaction", READ, APPLICATION),
    "transaction.create": Access("transaction", WRITE, APPLICATION),
    "transaction.get": Access("transaction", READ, APPLICATION),
    "transaction.hold": Access("transaction", WRITE, APPLICATION),
    "transaction.release": Access("transaction", WRITE, APPLICATION),
    "transaction.approve": Access("transaction", WRITE, APPLICATION),
    "transaction.reject": Access("transaction", WRITE, APPLICATION),
    "transaction.cancel": Access("transaction", WRITE, APPLICATION),
    "transaction.reverse": Access("transaction", WRITE, APPLICATION),
    "transaction.resend": Access("transaction", WRITE, APPLICATION),
    "conflict.list": Access("conflict", READ, APPLICATION),
    "conflict.get": Access("conflict", READ, APPLICATION),
    "conflict.keep": Access("conflict", WRITE, APPLICATION),
    "conflict.accept": Access("conflict", WRITE, APPLICATION),
    "audit.list": Access("audit", READ, APPLICATION),
    "shipment.list": Access("shipment", READ, APPLICATION),
    "shipment.get": Access("shipment", READ, APPLICATION),
    "email.list": Access("email", READ, APPLICATION),
    "email.get": Access("email", READ, APPLICATION),
    "suppression.list": Access("suppression", READ, APPLICATION),
    "suppression.get": Access("suppression", READ, APPLICATION),
    "suppression.delete": Access("suppression", WRITE, APPLICATION),
    "cashier.create": Access("transaction", WRITE, OWN),
    "message-poller.poll": Access("message", READ, APPLICATION),
    "message-poller.consumer-poll": Access("message", READ, APPLICATION),
    "message-poller.consumer-seek": Access("message", WRITE, APPLICATION),
    "operational-webhook.list": Access("operational-webhook", READ, OPERATOR),
    "operational-webhook.create": Access("operational-webhook", WRITE, OPERATOR),
    "operational-webhook.get": Access("operational-webhook", READ, OPERATOR),
    "operational-webhook.upsert": Access("operational-webhook", WRITE, OPERATOR),
    "operational-webhook.patch": Access("operational-webhook", WRITE, OPERATOR),
    "operational-webhook.delete": Access("operational-webhook", WRITE, OPERATOR),
    "operational-webhook.get-headers": Access("operational-webhook", READ, OPERATOR),
    "operational-webhook.set-headers": Access("operational-webhook", WRITE, OPERATOR),
    "operational-webhook.get-secret": Access("operational-webhook", WRITE, OPERATOR),
    "operational-webhook.rotate-secret": Access("operational-webhook", WRITE, OPERATOR),
    "authentication.app-portal-access": Access("portal", WRITE, OPERATOR),
    "authentication.dashboard-access": Access("portal", WRITE, OPERATOR),
    "authentication.expire-all": Access("portal", WRITE, OPERATOR),
    "authentication.logout": Access("portal", READ, OWN, VIEW),
    "background-task.list": Access("background-task", READ, OWN, VIEW),
    "background-task.get": Access("background-task", READ, OWN, VIEW),
    "api-key.create": Access("key", ADMIN, OPERATOR),
    "api-key.list": Access("key", ADMIN, OPERATOR),
    "api-key.get": Access("key", ADMIN, OPERATOR),
    "api-key.delete": Access("key", ADMIN, OPERATOR),
    "hold.get": Access("hold", READ, OPERATOR),
    "hold.release": Access("hold", WRITE, OPERATOR),
    "master-key.reseal": Access("master-key", WRITE, OPERATOR),
    "message.create": Access("message", PUBLISH, APPLICATION),
}
