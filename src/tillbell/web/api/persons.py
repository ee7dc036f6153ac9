"""People: who may sign in to the pages, and with which roles. Invitations are links."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Path, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.configure.people_admin import Granter, Invitation
from tillbell.errors import Invalid, Problem
from tillbell.model.people import Person, Role
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import ListPage, OrderedPageOf, filtered_page
from tillbell.web.api.routes import GatewayOf, PrincipalOf, resource
from tillbell.web.api.shapes import In, Listed, Name, Out, optional_time
from tillbell.web.edge.auth import Principal

AppRoles = Annotated[
    dict[Name, Role],
    Field(max_length=200, description="Roles in single applications, by their ids or uids."),
]
GeneralRole = Annotated[Role | None, Field(description="The role in all applications; null: none.")]


class PersonStatus(StrEnum):
    """How an account stands."""

    INVITED = "invited"
    ACTIVE = "active"
    DISABLED = "disabled"


class InvitationIn(In):
    """Who is invited, and what the person may do."""

    email: Annotated[str, Field(min_length=3, max_length=254, description="To sign in with.")]
    role: GeneralRole = None
    app_roles: AppRoles = Field(
        default_factory=dict, description="Roles in single applications, by their ids or uids."
    )


class PersonPatch(In):
    """What changes of a person; what is left out stays."""

    role: GeneralRole = None
    app_roles: AppRoles | None = Field(
        default=None, description="All roles in single applications, by their ids; {} ends them."
    )
    disabled: Annotated[bool, Field(strict=True)] | None = Field(
        default=None, description="Whether the person is kept out; its sessions end at once."
    )


class PersonOut(Out):
    """Somebody who may sign in to the pages."""

    id: str
    email: str = Field(description="What the person signs in with.")
    name: str = Field(description="Empty until the invitation is accepted.")
    role: Role | None = Field(description="The role in all applications; null: none.")
    app_roles: dict[str, Role] = Field(description="Roles in single applications, by their ids.")
    status: PersonStatus = Field(description="How the account stands.")
    has_second_factor: bool = Field(description="Whether it needs a code besides its password.")
    identity: str | None = Field(
        description="Issuer and subject at the identity provider; null: none is linked."
    )
    created_at: datetime
    last_sign_in_at: datetime | None = Field(description="null: never.")

    @classmethod
    def of(cls, person: Person, granter: Granter) -> PersonOut:
        """Return a person as this caller sees it: roles elsewhere are not told."""
        return cls(
            id=person.id,
            email=person.email,
            name=person.name,
            role=person.role,
            app_roles={
                app_id: role
                for app_id, role in person.app_roles.items()
                if granter.app_id in (None, app_id)
            },
            status=status_of(person),
            has_second_factor=bool(person.totp_secret),
            identity=person.oidc_id or None,
            created_at=to_datetime(person.created_at),
            last_sign_in_at=optional_time(person.last_sign_in_at),
        )


class InvitedOut(PersonOut):
    """A person and a link that lets it in once. The link is in this answer and never again."""

    link: str = Field(description="Send it to the person by a way that you trust.")


class SignedOutOut(Out):
    """How many sessions have ended."""

    sessions: int = Field(description="Sessions that were open.")


router = resource("/person", "Person")


async def the_granter(principal: PrincipalOf) -> Granter:
    """Return who gives roles here."""
    return granter_of(principal)


GranterOf = Annotated[Granter, Depends(the_granter)]


async def the_person(
    person_id: Annotated[str, Path(max_length=64)], gateway: GatewayOf, granter: GranterOf
) -> Person:
    """Return the person of the path."""
    return await gateway.people_admin.person(granter, person_id)


PersonOf = Annotated[Person, Depends(the_person)]


@router.get("")
async def list_(page: OrderedPageOf, gateway: GatewayOf, granter: GranterOf) -> Listed[PersonOut]:
    """List the people who may sign in, in the order in which they came."""
    people = await person_page(gateway, granter, page)
    return people.showing([PersonOut.of(person, granter) for person in people.rows])


@router.post("", status_code=201)
async def invite(body: InvitationIn, gateway: GatewayOf, granter: GranterOf) -> InvitedOut:
    """Invite a person by a link, which works once and for seven days."""
    roles = await _app_roles(gateway, body.app_roles)
    invited = await gateway.people_admin.invite(granter, body.email, body.role, roles)
    return _invited(gateway, invited, granter)


@router.get("/{person_id}")
async def get(person: PersonOf, granter: GranterOf) -> PersonOut:
    """Show a person."""
    return PersonOut.of(person, granter)


@router.patch("/{person_id}")
async def patch(
    person: PersonOf, body: PersonPatch, gateway: GatewayOf, granter: GranterOf
) -> PersonOut:
    """Give a person other roles, keep it out, or let it in again."""
    admin = gateway.people_admin
    sent = body.model_fields_set
    if {"role", "app_roles"} & sent:
        role = body.role if "role" in sent else person.role
        roles = dict(person.app_roles)
        if body.app_roles is not None:
            hidden = {} if granter.app_id is None else _others(person, granter.app_id)
            roles = hidden | await _app_roles(gateway, body.app_roles)
        person = await admin.set_roles(granter, person, role, roles)
    if body.disabled is not None:
        change = admin.disable if body.disabled else admin.enable
        person = await change(granter, person)
    return PersonOut.of(person, granter)


@router.delete("/{person_id}", status_code=204, response_model=None)
async def delete(person: PersonOf, gateway: GatewayOf, granter: GranterOf) -> Response:
    """Remove a person: its sessions end at once. The audit log keeps what it has done."""
    await gateway.people_admin.remove(granter, person)
    return Response(status_code=204)


@router.post("/{person_id}/link", status_code=201)
async def link(person: PersonOf, gateway: GatewayOf, granter: GranterOf) -> InvitedOut:
    """Make a new link: to accept the invitation, or to choose a new password.

    409 `passwords_off` if the invitation is accepted, and nobody signs in with a password here.
    """
    invited = await gateway.people_admin.new_link(granter, person)
    return _invited(gateway, invited, granter)


@router.post("/{person_id}/sign-out")
async def sign_out(person: PersonOf, gateway: GatewayOf, granter: GranterOf) -> SignedOutOut:
    """End all sessions of a person."""
    count = await gateway.people_admin.sign_out_everywhere(granter, person)
    return SignedOutOut(sessions=count)


@router.post("/{person_id}/reset-totp")
async def reset_totp(person: PersonOf, gateway: GatewayOf, granter: GranterOf) -> PersonOut:
    """Turn off the second factor of a person who has lost it; its sessions end.

    409 `no_second_factor` if the person has none.
    """
    return PersonOut.of(await gateway.people_admin.reset_totp(granter, person), granter)


@router.post("/{person_id}/unlink-identity")
async def unlink_identity(person: PersonOf, gateway: GatewayOf, granter: GranterOf) -> PersonOut:
    """Let the identity that a person came by sign in no more; its sessions end.

    The next sign-in with the person's verified address links another one. 409 `no_identity` if none
    is linked.
    """
    return PersonOut.of(await gateway.people_admin.unlink_identity(granter, person), granter)


def granter_of(principal: Principal) -> Granter:
    """Return who asks as somebody who gives roles."""
    return Granter(principal.key.scopes, principal.key.app_id)


def status_of(person: Person) -> PersonStatus:
    """Tell how an account stands."""
    if person.disabled_at is not None:
        return PersonStatus.DISABLED
    is_active = bool(person.password_hash or person.oidc_id)
    return PersonStatus.ACTIVE if is_active else PersonStatus.INVITED


async def person_page(gateway: Gateway, granter: Granter, page: Page) -> ListPage[Person]:
    """Return a page of the people whom somebody sees."""

    async def keep(person: Person) -> bool:
        return granter.sees(person)

    people = gateway.database.all_people
    return await filtered_page(people, page, lambda person: person.id, keep)


def _others(person: Person, app_id: str) -> dict[str, Role]:
    return {other: role for other, role in person.app_roles.items() if other != app_id}


async def _app_roles(gateway: Gateway, named: dict[str, Role]) -> dict[str, Role]:
    """Return roles by the ids of their applications."""
    roles = {}
    for name, role in named.items():
        app = await gateway.config_cache.application(name)
        if app is None:
            raise Invalid(Problem(("body", "appRoles"), f"there is no application {name}"))
        roles[app.id] = role
    return roles


def _invited(gateway: Gateway, invited: Invitation, granter: Granter) -> InvitedOut:
    address = gateway.settings.public_url or gateway.settings.local_url
    members = PersonOut.of(invited.person, granter).model_dump(by_alias=False)
    return InvitedOut(**members, link=f"{address}/setup/{invited.token}")
