"""Alerts: who is told of what by e-mail, and how the mails went."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from tillbell.model.alerts import AlertKind, AlertQueue, AlertSubscription
from tillbell.web.pages.page import SitePage, Visit

KIND_WORDS = {
    AlertKind.ENDPOINT: "Endpoints that fail, stop or answer again",
    AlertKind.DELIVERY: "Deliveries without an attempt left",
    AlertKind.CONFLICT: "Conflicts that a person must decide",
    AlertKind.PAYOUT: "Pay-outs on hold, declined, failed or in conflict",
    AlertKind.DISK: "The disk is nearly full",
    AlertKind.DATABASE: "The database cannot be reached",
}


class AlertRow(NamedTuple):
    """Somebody who is told, and what waits."""

    subscription: AlertSubscription
    queue: AlertQueue | None
    app_title: str  # "": of all applications


async def show(visit: Visit) -> Response:
    """Show who is told."""
    alerts = visit.gateway.alerts
    queues = await alerts.queues()
    rows = [
        AlertRow(each, queues.get(each.id), visit.names_of(each.app_id)[1] if each.app_id else "")
        for each in await alerts.all()
    ]
    is_set = visit.gateway.alert_sender.is_set
    return visit.show("settings_alerts.html", rows=rows, is_set=is_set, words=KIND_WORDS)


PAGES = (SitePage("/settings/alerts", show, "/settings"),)
