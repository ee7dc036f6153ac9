"""Who may use which route: the one table of routes, scopes and capabilities.

A route has the name of its operation in the OpenAPI document. Its row names the resource and the
action of the scope that it needs (`endpoint:write`), whose data it touches, and the capability
that a portal token needs; without one, no portal token may use it. A route without a row is not
served: the program does not start.

Pages (`web/pages/`) are another kind of route. They need a person who is signed in, whose role
(`rules/rights.py`) allows what the page's row says; an API key opens none. The API in turn takes no
cookie. A page without a row is not served either.
"""

from __future__ import annotations

from tillbell.rules.rights import Action
from tillbell.web.edge.auth import Access, Capability, Tenant

READ, EXPORT, WRITE = Action.READ, Action.EXPORT, Action.WRITE
PUBLISH, ADMIN = Action.PUBLISH, Action.ADMIN
APPLICATION, OPERATOR = Tenant.APPLICATION, Tenant.OPERATOR
SHARED, OWN = Tenant.SHARED, Tenant.OWN
VIEW = Capability.VIEW_BASE

ON_RECORD = frozenset({"transaction.create", "cashier.create"})
"""Routes that leave no entry in the audit log: what they create names its key, and is kept longer.

The same is true of `message.create`. All others that change anything leave one.
"""

PUBLIC = frozenset({"health.get", "health.ping"})
"""Routes that need no key."""

PUBLIC_PAGES = frozenset(
    {
        "/login",
        "/login/code",
        "/portal",
        "/portal/accent/{accent}.css",
        "/portal/logo",
        "/portal/session",
        "/setup/{token}",
    }
)
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
    "endpoint.recover": Access("attempt", WRITE, APPLICATION, Capability.CREATE_ATTEMPTS),
    "endpoint.replay-missing": Access("attempt", WRITE, APPLICATION, Capability.CREATE_ATTEMPTS),
    "endpoint.bulk-replay": Access("attempt", WRITE, APPLICATION, Capability.CREATE_ATTEMPTS),
    "endpoint.plan-replay": Access("attempt", READ, APPLICATION, VIEW),
    "endpoint.send-example": Access("endpoint", WRITE, APPLICATION, Capability.CREATE_ATTEMPTS),
    "live.stream": Access("message", READ, OWN, VIEW),
    "search.find": Access("search", READ, OWN, VIEW),
    "export.messages": Access("message", EXPORT, OWN, VIEW),
    "export.deliveries": Access("delivery", EXPORT, OWN, VIEW),
    "export.attempts": Access("attempt", EXPORT, OWN, VIEW),
    "export.callbacks": Access("callback", EXPORT, OWN),
    "export.transactions": Access("transaction", EXPORT, OWN),
    "export.conflicts": Access("conflict", EXPORT, OWN),
    "export.audit": Access("audit", EXPORT, OWN),
    "filter.completion": Access("event-type", READ, OWN, VIEW),
    "overview.messages": Access("message", READ, OWN, VIEW),
    "overview.endpoints": Access("endpoint", READ, OWN, VIEW),
    "overview.deliveries": Access("delivery", READ, OWN, VIEW),
    "overview.problems": Access("delivery", READ, OWN, VIEW),
    "overview.attempts": Access("attempt", READ, OWN, VIEW),
    "overview.callbacks": Access("callback", READ, OWN),
    "overview.transactions": Access("transaction", READ, OWN),
    "overview.conflicts": Access("conflict", READ, OWN),
    "overview.audit": Access("audit", READ, OWN),
    "statistics.attempts": Access("attempt", READ, OWN, VIEW),
    "statistics.response-times": Access("attempt", READ, OWN, VIEW),
    "statistics.pending": Access("delivery", READ, OWN, VIEW),
    "statistics.needed": Access("delivery", READ, OWN, VIEW),
    "statistics.endpoints": Access("endpoint", READ, OWN, VIEW),
    "statistics.event-types": Access("message", READ, OWN, VIEW),
    "statistics.callbacks": Access("callback", READ, OWN),
    "statistics.amounts": Access("transaction", READ, OWN),
    "statistics.markers": Access("audit", READ, OWN),
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
    "message-attempt.expunge-content": Access("message", WRITE, APPLICATION),
    "message-attempt.resend": Access("attempt", WRITE, APPLICATION, Capability.CREATE_ATTEMPTS),
    "message-attempt.send-edited": Access("attempt", WRITE, APPLICATION),
    "delivery.list": Access("delivery", READ, APPLICATION, VIEW),
    "delivery.get": Access("delivery", READ, APPLICATION, VIEW),
    "delivery.cancel": Access("attempt", WRITE, APPLICATION, Capability.CREATE_ATTEMPTS),
    "why.endpoint": Access("delivery", READ, APPLICATION, VIEW),
    "why.standing": Access("endpoint", READ, APPLICATION, VIEW),
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
    "audit.verify": Access("audit", READ, OPERATOR),
    "audit.head": Access("audit", READ, OPERATOR),
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
    "background-task.pause": Access("attempt", WRITE, OWN, Capability.CREATE_ATTEMPTS),
    "background-task.resume": Access("attempt", WRITE, OWN, Capability.CREATE_ATTEMPTS),
    "background-task.cancel": Access("attempt", WRITE, OWN, Capability.CREATE_ATTEMPTS),
    "api-key.create": Access("key", ADMIN, OWN),
    "api-key.list": Access("key", ADMIN, OWN),
    "api-key.get": Access("key", ADMIN, OWN),
    "api-key.delete": Access("key", ADMIN, OWN),
    "person.list": Access("person", ADMIN, OWN),
    "person.invite": Access("person", ADMIN, OWN),
    "person.get": Access("person", ADMIN, OWN),
    "person.patch": Access("person", ADMIN, OWN),
    "person.delete": Access("person", ADMIN, OWN),
    "person.link": Access("person", ADMIN, OWN),
    "person.reset-totp": Access("person", ADMIN, OWN),
    "person.sign-out": Access("person", ADMIN, OWN),
    "hold.get": Access("hold", READ, OPERATOR),
    "hold.release": Access("hold", WRITE, OPERATOR),
    "master-key.reseal": Access("master-key", WRITE, OPERATOR),
    "message.create": Access("message", PUBLISH, APPLICATION),
}

PAGES: dict[str, Access | None] = {
    "GET /": ACCESS["overview.messages"],
    "GET /account": None,
    "POST /account/password": None,
    "POST /account/session": None,
    "POST /account/sign-out": None,
    "GET /account/totp": None,
    "POST /account/totp": None,
    "POST /account/totp-off": None,
    "GET /attempts": ACCESS["overview.attempts"],
    "GET /callbacks": ACCESS["overview.callbacks"],
    "GET /callbacks/{callback}": ACCESS["callback.get"],
    "GET /deliveries": ACCESS["overview.deliveries"],
    "GET /endpoints": ACCESS["overview.endpoints"],
    "GET /endpoints/{endpoint}": ACCESS["endpoint.get"],
    "GET /event-types": ACCESS["event-type.list"],
    "GET /event-types/{name:path}": ACCESS["event-type.get"],
    "GET /filter/suggestions": ACCESS["filter.completion"],
    "GET /first-run": ACCESS["overview.messages"],
    "GET /jobs": ACCESS["background-task.list"],
    "GET /jobs/{task}": ACCESS["background-task.get"],
    "GET /live": ACCESS["live.stream"],
    "GET /messages": ACCESS["overview.messages"],
    "GET /messages/{msg}": ACCESS["message.get"],
    "GET /messages/{msg}/endpoints/{endpoint}": ACCESS["delivery.get"],
    "GET /plots": ACCESS["statistics.attempts"],
    "GET /plots/{name}": Access("attempt", EXPORT, OWN),
    "GET /problems": ACCESS["overview.problems"],
    "GET /review": ACCESS["overview.conflicts"],
    "GET /search": ACCESS["search.find"],
    "GET /settings": Access("setting", READ, OPERATOR),
    "GET /settings/applications": ACCESS["application.list"],
    "GET /settings/audit": ACCESS["overview.audit"],
    "GET /settings/audit/verify": ACCESS["audit.verify"],
    "GET /settings/audit/{entry}": ACCESS["overview.audit"],
    "GET /settings/keys": ACCESS["api-key.list"],
    "GET /settings/people": ACCESS["person.list"],
    "GET /settings/webhooks": ACCESS["operational-webhook.list"],
    "GET /sources": Access("source", READ, OWN),
    "GET /sources/new": ACCESS["provider.list"],
    "GET /sources/{source}": ACCESS["source.get"],
    "GET /transactions": ACCESS["overview.transactions"],
    "GET /transactions/{trx}": ACCESS["transaction.get"],
    "GET /ui/components": None,
    "POST /logout": None,
}
"""What a person needs for a page, by method and path; None: only to be signed in.

The resource and the action are those of the scopes of the person's roles. The tenant says which
roles count: those for all applications (operator), or those in the chosen application as well.
"""

PORTAL_PAGES = {
    "GET /endpoints": ACCESS["endpoint.list"],
    "GET /endpoints/{endpoint}": ACCESS["endpoint.get"],
    "GET /messages": ACCESS["message.list"],
    "GET /messages/{msg}": ACCESS["message.get"],
    "GET /messages/{msg}/endpoints/{endpoint}": ACCESS["delivery.get"],
    "GET /deliveries": ACCESS["delivery.list"],
    "GET /attempts": ACCESS["overview.attempts"],
    "GET /event-types": ACCESS["event-type.list"],
    "GET /event-types/{name:path}": ACCESS["event-type.get"],
    "GET /jobs": ACCESS["background-task.list"],
    "GET /jobs/{task}": ACCESS["background-task.get"],
    "GET /filter/suggestions": ACCESS["filter.completion"],
    "GET /live": ACCESS["live.stream"],
    "POST /leave": ACCESS["authentication.logout"],
}
"""What a portal token needs for a page below `/portal/{app}`. Acts need their operation instead.

Only a portal token of that application opens them: neither a person nor an API key does.
"""
