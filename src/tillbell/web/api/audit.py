"""The audit log: who did what to what, who looked at secrets, who signed in; and its proof."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.model.audit import AuditedAct
from tillbell.rules.audit_chain import ChainLink
from tillbell.rules.filters.clauses import FilterList, ListFilter, one_of
from tillbell.storage.ports.outbound import Page
from tillbell.upkeep.audit_check import check_audit_log
from tillbell.web.api.filtered import FilterText, read_filter, search_page
from tillbell.web.api.paging import ListPage, OrderedPageOf, row_id
from tillbell.web.api.routes import ApplicationOf, GatewayOf, resource
from tillbell.web.api.shapes import Listed, Out


class ChangeOut(Out):
    """A member that was changed. A secret is shown as `(secret)`."""

    before: Any = Field(description="What it was; null: nothing.")
    after: Any = Field(description="What it is since then; null: nothing.")


class AuditOut(Out):
    """One act: a change, a look at a secret, an export, or a sign-in."""

    id: str
    app_id: str = Field(description='The application; "": it belongs to none.')
    at: datetime = Field(description="When it was done (UTC).")
    actor: str = Field(
        description="Id of the API key or person; `system`: Tillbell itself; `anonymous`: nobody"
        " was signed in."
    )
    actor_name: str | None = Field(
        description="Name of the key, or e-mail address of the person, at that time;"
        " null: it was not noted."
    )
    actor_kind: str = Field(
        description="`person`, `key`, `portal` (token), `command` (the command line), `program`"
        " (Tillbell itself), `nobody`."
    )
    actor_role: str = Field(
        description='Role of the person, or scopes of the key, at that time; "": not noted.'
    )
    action: str = Field(
        description="E.g. `transaction.hold`, with `.proposed` at its end: proposed;"
        " `endpoint.update`, `endpoint.read-secret`, `person.sign-in`."
    )
    target: str = Field(description="Id of what it was done to.")
    reason: str = Field(description='Why a manual action was done; "" for others.')
    request_id: str | None = Field(description="The request, as its answer and the log name it.")
    address: str | None = Field(description="Where the request came from.")
    user_agent: str | None = Field(description="What the client called itself.")
    changes: dict[str, ChangeOut] = Field(description="The members that were changed, by name.")
    details: dict[str, Any] = Field(description="More about a manual action, by its kind.")
    redacted: bool = Field(
        description="Whether a customer was erased from it: what named them reads `(erased)`."
    )

    @classmethod
    def of(cls, act: AuditedAct) -> AuditOut:
        """Return an act in the shape that callers see."""
        actor = act.actor
        return cls(
            id=act.id,
            app_id=act.app_id,
            at=to_datetime(act.at),
            actor=actor.id,
            actor_name=actor.name or None,
            actor_kind=actor.kind.value,
            actor_role=actor.role,
            action=act.action,
            target=act.target,
            reason=act.reason,
            request_id=actor.request_id,
            address=actor.address,
            user_agent=actor.user_agent,
            changes={
                name: ChangeOut(before=before, after=after)
                for name, (before, after) in act.changes.items()
            },
            details=act.details,
            redacted=act.is_redacted,
        )


class ChainLinkOut(Out):
    """A place in the chain of the audit log."""

    sequence: int = Field(description="Number of the entry; 0: before the first.")
    hash: str = Field(description="Its SHA-256, which covers the hash of the entry before it.")

    @classmethod
    def of(cls, link: ChainLink) -> ChainLinkOut:
        """Return a place in the shape that callers see."""
        return cls(sequence=link.sequence, hash=link.hash)


class ChainBreakOut(Out):
    """Where the chain is broken."""

    sequence: int = Field(description="Number of the entry that does not fit.")
    id: str = Field(description='Its id; "": it is missing.')
    why: str = Field(description="What is wrong.")


class AuditProofOut(Out):
    """Whether the audit log is whole."""

    whole: bool = Field(description="Whether every entry fits the one before it.")
    checked: int = Field(description="Entries that fit, before the first that does not.")
    redacted: int = Field(
        description="Of them, those from which a customer was erased, as a later entry says."
    )
    anchor: ChainLinkOut = Field(description="The last entry that was deleted for its age.")
    head: ChainLinkOut = Field(
        description="The newest entry. Note it elsewhere: if the log does not lead there later, it"
        " was written anew."
    )
    broken_at: ChainBreakOut | None = Field(description="The first break; null: there is none.")


TargetQuery = Annotated[
    str | None, Query(max_length=256, description="Only actions on this: its id.")
]

router = resource("/app/{app_id}/audit", "Audit")
proof_router = resource("/audit", "Audit")


@router.get("")
async def list_(
    app: ApplicationOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    target: TargetQuery = None,
    text: FilterText = None,
) -> Listed[AuditOut]:
    """List what was done in an application, newest first."""
    filter_ = await read_audit_filter(gateway, app.id, text, target)
    rows = await audit_page(gateway, app.id, filter_, page)
    return rows.showing([AuditOut.of(act) for act in rows.rows])


@proof_router.get("/verify")
async def verify(gateway: GatewayOf) -> AuditProofOut:
    """Check the whole audit log: that no entry was altered, removed or put in between."""
    proof = await check_audit_log(gateway.database)
    broken = proof.break_
    return AuditProofOut(
        whole=broken is None,
        checked=proof.checked,
        redacted=proof.redacted,
        anchor=ChainLinkOut.of(proof.bounds.anchor),
        head=ChainLinkOut.of(proof.bounds.head),
        broken_at=None if broken is None else ChainBreakOut(**broken._asdict()),
    )


@proof_router.get("/head")
async def head(gateway: GatewayOf) -> ChainLinkOut:
    """Show the newest entry's number and hash, to be noted elsewhere."""
    return ChainLinkOut.of((await gateway.database.audit_bounds()).head)


async def read_audit_filter(
    gateway: Gateway, scope: str | None, text: str | None, target: str | None = None
) -> ListFilter:
    """Read a filter of the audit log; with `target` only acts on that."""
    filter_ = await read_filter(gateway, scope, FilterList.AUDIT, text)
    return filter_ if target is None else filter_.and_(one_of("target", target))


async def audit_page(
    gateway: Gateway, scope: str | None, filter_: ListFilter, page: Page
) -> ListPage[AuditedAct]:
    """Return a page of the audit log of an application; None: of all, and what belongs to none."""
    history = gateway.database.history
    return await search_page(
        lambda page, size: history.filtered_audit(scope, filter_, page, size), page, row_id
    )
