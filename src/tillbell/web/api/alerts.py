"""Alerts: who is told of what by e-mail, and how the mails went."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.errors import Invalid, Problem
from tillbell.model.alerts import AlertKind, AlertQueue, AlertSubscription
from tillbell.web.api.paging import OrderedPageOf, in_memory_page
from tillbell.web.api.routes import GatewayOf, resource
from tillbell.web.api.shapes import Decides, Flag, In, Label, Listed, Name, Out, optional_time
from tillbell.web.edge.patterns import UID

Email = Annotated[str, Field(max_length=254), Decides()]
TimeOfDay = Annotated[str, Field(max_length=5)]
AlertId = Annotated[str, Path(pattern=UID, max_length=256)]
Kinds = Annotated[list[AlertKind], Field(max_length=len(AlertKind))]


class AlertFields(In):
    """Members of every body about an alert. What is left out stays."""

    name: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="For people: who gets it."
    )
    kinds: Kinds | None = Field(default=None, description="What they are told of.")
    event_types: Annotated[list[Name], Field(max_length=20)] | None = Field(
        default=None, description="And messages of these types: `order.created`."
    )
    app_id: Annotated[Label, Decides()] | None = Field(
        default=None, description="Of this application alone (id or uid); null: of all."
    )
    digest_minutes: Annotated[int, Field(strict=True, ge=0, le=1_440)] | None = Field(
        default=None, description="How long alerts are collected for one mail; 0: not at all."
    )
    quiet_from: TimeOfDay | None = Field(
        default=None, description="No mail from this time of day, as `22:00`; null: at no time."
    )
    quiet_until: TimeOfDay | None = Field(default=None, description="Until this time of day.")
    time_zone: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Of the quiet hours: `Europe/Belgrade`; `UTC` at first."
    )
    hourly_max: Annotated[int, Field(strict=True, ge=1, le=60)] | None = Field(
        default=None,
        description="Most mails in an hour; further alerts come together. 12 at first.",
    )
    paused: Flag | None = Field(default=None, description="True: no mail, and nothing waits.")

    async def fields(self, gateway: Gateway) -> dict[str, Any]:
        """Return the named members as fields of the record."""
        named = {name: getattr(self, name) for name in self.model_fields_set}
        may_be_null = ("app_id", "quiet_from", "quiet_until")
        fields = {n: v for n, v in named.items() if v is not None or n in may_be_null}
        for name in ("kinds", "event_types"):
            if name in fields:
                fields[name] = tuple(dict.fromkeys(fields[name]))
        if fields.get("app_id") is not None:
            application = await gateway.config_cache.application(fields["app_id"])
            if application is None:
                problem = Problem(("body", "appId"), "there is no such application", "app")
                raise Invalid(problem)
            fields["app_id"] = application.id
        return fields


class AlertIn(AlertFields):
    """A new alert."""

    email: Email = Field(description="Where mails are sent.")


class AlertPatch(AlertFields):
    """Changes to an alert."""

    email: Email | None = Field(default=None, description="Where mails are sent.")


class AlertOut(Out):
    """Who is told of what, and how the mails went."""

    id: str
    email: str = Field(description="Where mails are sent.")
    name: str = Field(description="For people: who gets it.")
    kinds: list[AlertKind] = Field(description="What they are told of.")
    event_types: list[str] = Field(description="And messages of these types.")
    app_id: str | None = Field(description="Of this application alone; null: of all.")
    digest_minutes: int = Field(description="How long alerts are collected for one mail.")
    quiet_from: str | None = Field(description="No mail from this time of day; null: at no time.")
    quiet_until: str | None = Field(description="Until this time of day.")
    time_zone: str = Field(description="Of the quiet hours.")
    hourly_max: int = Field(description="Most mails in an hour.")
    paused: bool = Field(description="Whether no mail is sent.")
    unsubscribed_at: datetime | None = Field(
        description="When somebody paused it by the link in a mail (UTC); null: nobody did."
    )
    waiting: int = Field(description="Alerts that wait for the next mail.")
    last_sent_at: datetime | None = Field(description="When the last mail was taken (UTC).")
    last_error: str | None = Field(
        description="Why the mail server did not take the last mail; null: it did."
    )
    is_set: bool = Field(description="Whether the settings name a mail server.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: AlertSubscription, queue: AlertQueue | None, *, is_set: bool) -> AlertOut:
        """Return an alert in the shape that callers see."""
        return cls(
            id=row.id,
            email=row.email,
            name=row.name,
            kinds=list(row.kinds),
            event_types=list(row.event_types),
            app_id=row.app_id,
            digest_minutes=row.digest_minutes,
            quiet_from=row.quiet_from,
            quiet_until=row.quiet_until,
            time_zone=row.time_zone,
            hourly_max=row.hourly_max,
            paused=row.paused,
            unsubscribed_at=optional_time(row.unsubscribed_at),
            waiting=len(queue.lines) + queue.dropped if queue is not None else 0,
            last_sent_at=to_datetime(queue.sent_at[-1]) if queue and queue.sent_at else None,
            last_error=(queue.last_error or None) if queue is not None else None,
            is_set=is_set,
            created_at=to_datetime(row.created_at),
            updated_at=to_datetime(row.updated_at),
        )


class AlertTestOut(Out):
    """How a test went."""

    problem: str | None = Field(
        description="Why the mail server did not take the mail; null: it did."
    )


router = resource("/alert", "Alert")


@router.get("")
async def list_(gateway: GatewayOf, page: OrderedPageOf) -> Listed[AlertOut]:
    """List who is told by e-mail."""
    rows = in_memory_page(await gateway.alerts.all(), page, lambda row: row.id)
    queues, is_set = await gateway.alerts.queues(), gateway.alert_sender.is_set
    return rows.showing([AlertOut.of(r, queues.get(r.id), is_set=is_set) for r in rows.rows])


@router.post("", status_code=201)
async def create(body: AlertIn, gateway: GatewayOf) -> AlertOut:
    """Tell somebody by e-mail."""
    return await _shown(gateway, await gateway.alerts.create(await body.fields(gateway)))


@router.get("/{alert_id}")
async def get(alert_id: AlertId, gateway: GatewayOf) -> AlertOut:
    """Show an alert, and how its mails went."""
    return await _shown(gateway, await gateway.alerts.get(alert_id))


@router.patch("/{alert_id}")
async def patch(alert_id: AlertId, body: AlertPatch, gateway: GatewayOf) -> AlertOut:
    """Change the named members of an alert."""
    fields = await body.fields(gateway)
    return await _shown(gateway, await gateway.alerts.patch(alert_id, fields))


@router.delete("/{alert_id}", status_code=204, response_model=None)
async def delete(alert_id: AlertId, gateway: GatewayOf) -> Response:
    """Tell somebody no more. What waits is dropped."""
    await gateway.alerts.remove(alert_id)
    return Response(status_code=204)


@router.post("/{alert_id}/test")
async def test(alert_id: AlertId, gateway: GatewayOf) -> AlertTestOut:
    """Send a test mail at once."""
    subscription = await gateway.alerts.get(alert_id)
    problem = await gateway.alert_sender.test(subscription)
    await gateway.config_cache.note_test(subscription, problem)
    return AlertTestOut(problem=problem)


async def _shown(gateway: Gateway, row: AlertSubscription) -> AlertOut:
    queues = await gateway.alerts.queues()
    return AlertOut.of(row, queues.get(row.id), is_set=gateway.alert_sender.is_set)
