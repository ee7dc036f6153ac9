"""Settings, to read: what this process was started with, keys, people, operational webhooks."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from starlette.responses import Response

from tillbell import __version__
from tillbell.clock import Micros, iso
from tillbell.configure.people import rights_of
from tillbell.configure.people_admin import Granter
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.model.endpoints import Endpoint
from tillbell.model.people import Person
from tillbell.model.records import ApiKey, Application
from tillbell.setting_text import shown
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.endpoint_health import health_of_all
from tillbell.web.api.keys import key_page
from tillbell.web.api.paging import ListPage
from tillbell.web.api.persons import PersonStatus, granter_of, person_page, status_of
from tillbell.web.api.settings import setting_rows
from tillbell.web.edge.health import HealthProbe
from tillbell.web.pages.endpoint_views import EndpointView
from tillbell.web.pages.lists import all_of, export, listing_of, page_of
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.sorting import Keys, sorted_rows

PEOPLE_MAX = 250  # on the page


class KeyRow(NamedTuple):
    """One API key."""

    key: ApiKey
    app_title: str  # "": it opens every application
    last_used_at: Micros | None
    is_over: bool  # it has expired


class PersonRow(NamedTuple):
    """Somebody who may sign in, as the list shows it."""

    person: Person
    status: PersonStatus
    app_roles: list[tuple[str, str]]  # name of an application, role


_KEYS_SORTED_BY: Keys[KeyRow] = {
    "name": lambda row: row.key.name,
    "application": lambda row: row.app_title,
    "used": lambda row: row.last_used_at,
    "ends": lambda row: row.key.expires_at,
    "created": lambda row: row.key.created_at,
}
_KEY_COLUMNS = ("id", "name", "last4", "scopes", "application", "last_used", "ends", "created")
_PEOPLE_SORTED_BY: Keys[PersonRow] = {
    "name": lambda row: row.person.name,
    "role": lambda row: str(rights_of(row.person)),
    "signed_in": lambda row: row.person.last_sign_in_at,
    "added": lambda row: row.person.created_at,
}
_PERSON_COLUMNS = ("id", "name", "email", "role", "last_sign_in", "added")


async def show(visit: Visit) -> Response:
    """Show what this process was started with, and whether it is well."""
    gateway = visit.gateway
    checks, size = await asyncio.gather(HealthProbe(gateway).checks(), gateway.database.size())
    rows = setting_rows(gateway)
    return visit.show(
        "settings.html",
        chosen=[row for row in rows if not row.is_default],
        defaults=[row for row in rows if row.is_default],
        kept=await gateway.retention.current(),
        periods={row.name: row.value for row in rows if row.name.endswith(("_days", "_hours"))},
        checks=checks,
        is_well=all(check.is_ok for check in checks),
        store=shown(gateway.settings.database_url),
        size_bytes=size,
        cluster=gateway.cluster,
        version=__version__,
    )


async def applications(visit: Visit) -> Response:
    """Show the applications."""
    return visit.show("settings_applications.html")


async def keys(visit: Visit) -> Response:
    """Show API keys, without portal tokens; no key is shown."""
    app_id = visit.principal().key.app_id

    async def fetch(page: Page) -> ListPage[KeyRow]:
        listed = await key_page(visit.gateway, app_id, page)
        return listed.with_rows(
            list(await asyncio.gather(*(_key_row(visit, key) for key in listed.rows)))
        )

    exported = await export(visit, "api-key", fetch, _KEY_COLUMNS, _key_cells)
    if exported is not None:
        return exported
    page = page_of(visit)
    rows = await fetch(page)
    shown_rows = sorted_rows(visit, rows.rows, _KEYS_SORTED_BY)
    return visit.show("settings_keys.html", rows=shown_rows, listing=listing_of(visit, rows, page))


async def people(visit: Visit) -> Response:
    """Show the people who may sign in."""
    granter = granter_of(visit.principal())
    listed = await person_page(visit.gateway, granter, Page(PEOPLE_MAX, ascending=True))
    rows = sorted_rows(
        visit,
        [
            PersonRow(person, status_of(person), _app_names(visit, person, granter))
            for person in listed.rows
        ],
        _PEOPLE_SORTED_BY,
    )
    exported = await export(visit, "person", all_of(rows), _PERSON_COLUMNS, _person_cells)
    if exported is not None:
        return exported
    return visit.show(
        "settings_people.html", rows=rows, has_passwords=visit.gateway.people.allows_passwords
    )


async def webhooks(visit: Visit) -> Response:
    """Show the endpoints that are told about the gateway itself."""
    gateway = visit.gateway
    endpoints = await gateway.database.list(Endpoint, OPERATIONAL, Page(PEOPLE_MAX))
    healths = await health_of_all(gateway, endpoints)
    views = [EndpointView(each, healths[each.id], OPERATIONAL) for each in endpoints]
    return visit.show("settings_webhooks.html", views=views)


PAGES = (
    SitePage("/settings", show, "/settings"),
    SitePage("/settings/applications", applications, "/settings"),
    SitePage("/settings/keys", keys, "/settings"),
    SitePage("/settings/people", people, "/settings"),
    SitePage("/settings/webhooks", webhooks, "/settings"),
)


def _key_cells(row: KeyRow) -> list[object]:
    key = row.key
    return [
        key.id,
        key.name,
        key.last4,
        " ".join(key.scopes),
        row.app_title,
        _iso(row.last_used_at),
        _iso(key.expires_at),
        iso(key.created_at),
    ]


def _person_cells(row: PersonRow) -> list[object]:
    person = row.person
    own = [f"{role} of {name}" for name, role in row.app_roles]
    roles = ", ".join([person.role, *own] if person.role is not None else own)
    times = _iso(person.last_sign_in_at), iso(person.created_at)
    return [person.id, person.name, person.email, roles, *times]


def _iso(at: Micros | None) -> str | None:
    return None if at is None else iso(at)


def _app_names(visit: Visit, person: Person, granter: Granter) -> list[tuple[str, str]]:
    """Return the roles in single applications with their names."""
    return [
        (visit.names_of(app_id)[1], role.value)
        for app_id, role in person.app_roles.items()
        if granter.app_id in (None, app_id)
    ]


async def _key_row(visit: Visit, key: ApiKey) -> KeyRow:
    title = ""
    if key.app_id is not None:
        app = await visit.gateway.database.get(Application, key.app_id)
        title = app.name if app is not None else key.app_id
    return KeyRow(
        key,
        title,
        await visit.gateway.key_usage.last_used_at(key),
        key.expires_at is not None and key.expires_at <= visit.now,
    )
