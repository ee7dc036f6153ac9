"""The audit log: who did what, from where, and what it was before and after; and its proof."""

from __future__ import annotations

import difflib
import re
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import NotFound
from tillbell.model.audit import AuditedAct
from tillbell.rules.audit_chain import ChainLink
from tillbell.rules.filters.clauses import FilterList, ListFilter, one_of
from tillbell.storage.ports.outbound import Page
from tillbell.upkeep.audit_check import check_audit_log
from tillbell.web.api.audit import AuditOut, audit_page
from tillbell.web.api.paging import ListPage
from tillbell.web.pages.filter_line import filter_line
from tillbell.web.pages.lists import export, listing_of, nothing, page_by_time
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.target_names import target_name

_VERIFY = "/settings/audit/verify"
_COLUMNS = tuple(field.alias or name for name, field in AuditOut.model_fields.items())
_LINE_MAX = 120  # bytes of a value that stands in one line
_MEMBERS_NAMED = 3  # changed members that a row of the list names
# The page of what an act was done to, by the prefix of its id, as the table of access names it.
_PAGE_OF = {
    "cbk": "/callbacks/{callback}",
    "cfl": "/review",
    "ep": "/endpoints/{endpoint}",
    "et": "/event-types",
    "key": "/settings/keys",
    "msg": "/messages/{msg}",
    "inb": "/inboxes/{inbox}",
    "alt": "/settings/alerts",
    "per": "/settings/people",
    "qtask": "/jobs/{task}",
    "src": "/sources/{source}",
    "trx": "/transactions/{trx}",
}


class ActTarget(NamedTuple):
    """What an act was done to."""

    text: str  # its name, else its id; "": it has none
    href: str  # of its page; "": there is none, or the person may not see it


class AuditLine(NamedTuple):
    """One row of the list."""

    act: AuditedAct
    app_title: str  # "": it belongs to no application
    target: ActTarget

    @property
    def actor_name(self) -> str:
        """Return who did it, for people."""
        return self.act.actor.name or self.act.actor.id

    @property
    def changed(self) -> str:
        """Name the first members that were changed."""
        names = list(self.act.changes)
        more = len(names) - _MEMBERS_NAMED
        return ", ".join(names[:_MEMBERS_NAMED]) + (f" and {more} more" if more > 0 else "")

    @property
    def changed_lines(self) -> list[tuple[str, str]]:
        """Return what was changed, as the lines of a diff."""
        return diff_of(self.act.changes)

    @property
    def details(self) -> bytes:
        """Return what else is known, as JSON; empty for nothing."""
        return msgspec.json.encode(self.act.details) if self.act.details else b""


def diff_of(changes: dict[str, Any]) -> list[tuple[str, str]]:
    """Return changes as the lines of a diff: `del`, `add` or "", and the line.

    >>> diff_of({"name": ["Shop", "My shop"], "rate": [None, 5]})
    [('del', 'name: Shop'), ('add', 'name: My shop'), ('add', 'rate: 5')]
    """
    lines: list[tuple[str, str]] = []
    for name, (before, after) in changes.items():
        old, new = _lines(name, before), _lines(name, after)
        for step, begin, end, to_begin, to_end in difflib.SequenceMatcher(
            None, old, new, autojunk=False
        ).get_opcodes():
            if step == "equal":
                lines += [("", line) for line in old[begin:end]]
                continue
            lines += [("del", line) for line in old[begin:end]]
            lines += [("add", line) for line in new[to_begin:to_end]]
    return lines


def _lines(name: str, value: Any) -> list[str]:
    """Return a member with its value, line by line; no line for a member without one."""
    if value is None:
        return []
    if isinstance(value, str):
        return f"{name}: {value}".split("\n")
    encoded = msgspec.json.encode(value)
    if len(encoded) > _LINE_MAX:
        encoded = msgspec.json.format(encoded, indent=2)
    return f"{name}: {encoded.decode()}".split("\n")


async def list_(visit: Visit) -> Response:
    """Show the audit log, newest first."""
    line = await filter_line(visit, FilterList.AUDIT)
    if isinstance(line, Response):
        return line
    wanted = line.wanted

    async def fetch(page: Page) -> ListPage[AuditLine]:
        if wanted is None:
            return nothing()
        listed = await audit_page(visit.gateway, visit.app_id, wanted, page)
        return listed.with_rows([await _line(visit, act) for act in listed.rows])

    exported = await export(visit, "audit", fetch, _COLUMNS, _cells)
    if exported is not None:
        return exported
    page = page_by_time(visit)
    rows = await fetch(page)
    opened = visit.query("open")
    return visit.show(
        "audit.html",
        rows=rows.rows,
        listing=listing_of(visit, rows, page, line),
        opened=opened,
        opened_line=await _entry(visit, opened) if opened else None,
        head=await _head(visit),
    )


async def show(visit: Visit) -> Response:
    """Show one entry, as a page or beside the list."""
    line = await _entry(visit, visit.path("entry"))
    if line is None:
        raise NotFound("There is no such entry in the audit log.")
    return visit.show("audit_drawer.html" if visit.wants_drawer else "audit_entry.html", e=line)


async def verify(visit: Visit) -> Response:
    """Check the whole log now, and say whether every entry fits the one before."""
    database = visit.gateway.database
    proof = await check_audit_log(database)
    oldest = await database.audit_rows(proof.bounds.anchor.sequence, 1)
    act = await _act(visit, None, oldest[0].id) if oldest else None
    return visit.show("audit_verify.html", proof=proof, since=act.at if act is not None else None)


PAGES = (
    SitePage("/settings/audit", list_, "/settings"),
    SitePage(_VERIFY, verify, "/settings"),
    SitePage("/settings/audit/{entry}", show, "/settings"),
)


async def _entry(visit: Visit, id_: str) -> AuditLine | None:
    """Return an entry by its id; None if there is none that the person may see."""
    act = await _act(visit, visit.app_id, id_)
    return None if act is None else await _line(visit, act)


async def _act(visit: Visit, scope: str | None, id_: str) -> AuditedAct | None:
    listed = await audit_page(visit.gateway, scope, ListFilter().and_(one_of("id", id_)), Page(1))
    return listed.rows[0] if listed.rows else None


async def _head(visit: Visit) -> ChainLink | None:
    """Return the newest place in the chain of all applications; None: the person may not know."""
    if not visit.may_open(_VERIFY):
        return None
    return (await visit.gateway.database.audit_bounds()).head


async def _line(visit: Visit, act: AuditedAct) -> AuditLine:
    title = visit.names_of(act.app_id)[1] if act.app_id else ""
    return AuditLine(act, title, await _target(visit, act))


async def _target(visit: Visit, act: AuditedAct) -> ActTarget:
    """Return what an act was done to, with a link to its page if there is one."""
    id_ = act.target
    prefix = id_.partition("_")[0]
    text = await target_name(visit, act.app_id, id_)
    if prefix == "app":
        app = await visit.gateway.config_cache.application(id_)
        return ActTarget(text, visit.link("/", app=app.uid or app.id) if app is not None else "")
    pattern = _PAGE_OF.get(prefix, "")
    if prefix == "ep":
        if act.app_id == OPERATIONAL:
            return ActTarget(text, visit.link("/settings/webhooks"))
        if await visit.gateway.config_cache.endpoint(act.app_id, id_) is None:
            pattern = ""
    if not pattern or not visit.may_open(pattern):
        return ActTarget(text, "")
    app_name = visit.names_of(act.app_id)[0] if act.app_id else visit.app_name
    return ActTarget(text, visit.link(re.sub(r"\{\w+\}", id_, pattern), app=app_name))


def _cells(line: AuditLine) -> list[object]:
    document = AuditOut.of(line.act).model_dump(mode="json", by_alias=True)
    return [document[column] for column in _COLUMNS]
