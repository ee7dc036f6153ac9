"""Acts on people: invite, change roles, make a new link, keep out, sign out and remove."""

from __future__ import annotations

from collections.abc import Mapping

from tillbell.configure.people_admin import Granter
from tillbell.model.people import Role
from tillbell.rules.rights import SCOPES_OF, not_covered
from tillbell.web.api.persons import PersonOut, granter_of
from tillbell.web.edge.access import ACCESS
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    FormChoice,
    FormField,
    SentFields,
    ShownValue,
    act_pages,
)
from tillbell.web.pages.page import Visit

_PLACE = "/settings/people"
_HINTS = {
    Role.OWNER: "everything, owners included",
    Role.ADMIN: "everything but owners",
    Role.DEVELOPER: "endpoints, sources, event types, publish and resend",
    Role.OPERATOR: "hold, release, approve, decide and resend",
    Role.FINANCE: "read and export",
    Role.VIEWER: "read",
}
_APPLICATIONS_SHOWN = 12
_IN = "appRoles."  # with an application's id, the field of the role in it
_WORKS = "It works once. It is shown here and never again: send it by a way that you trust."


def _granter(visit: Visit) -> Granter:
    return granter_of(visit.principal(ACCESS["person.invite"].tenant))


def _choices(visit: Visit, held: Role | None, nothing: str) -> list[FormChoice]:
    """Return the roles that the person who looks may give, the one that is held, and none."""
    scopes = _granter(visit).scopes
    return [
        FormChoice("", "none", nothing),
        *(
            FormChoice(role.value, role.value, hint)
            for role, hint in _HINTS.items()
            if role is held or not not_covered(scopes, SCOPES_OF[role])
        ),
    ]


def _role_fields(visit: Visit, role: Role | None, own: Mapping[str, Role]) -> list[FormField]:
    """Return a field for the role in all applications, and one for each application.

    Of many applications those are there in which the person has a role, and the chosen one.
    """
    only = _granter(visit).app_id
    apps = [app for app in visit.applications if only in (None, app.id)]
    if len(apps) > _APPLICATIONS_SHOWN:
        apps = [app for app in apps if app.id in own or app.id == visit.app_id]
    options = _choices(visit, role, "only the roles below count")
    general = FormField("role", "In all applications", "choice", role or "", options=options)
    return [
        *([general] if only is None else []),
        *(
            FormField(
                f"{_IN}{app.id}",
                f"In {app.name}",
                "select",
                own.get(app.id, ""),
                options=_choices(visit, own.get(app.id), ""),
            )
            for app in apps
        ),
    ]


async def _person(visit: Visit) -> PersonOut:
    granter = _granter(visit)
    person = await visit.gateway.people_admin.person(granter, visit.path("person"))
    return PersonOut.of(person, granter)


def _roles_of(visit: Visit, sent: SentFields) -> dict[str, object]:
    """Return the members of the API that the fields of roles set."""
    fields = {app.id: sent.text(f"{_IN}{app.id}") for app in visit.applications}
    app_roles = {app_id: role for app_id, role in fields.items() if role}
    return {"role": sent.text("role") or None, "appRoles": app_roles}


async def _invite_form(visit: Visit) -> ActForm:
    return ActForm(
        title="Invite a person",
        verb="Make the link",
        consequences=[
            "We send nothing: you get a link, and send it to the person yourself.",
            "With it the person chooses a name and a password. It works once, for seven days.",
        ],
        back=visit.link(_PLACE),
        back_word="People",
        fields=[
            FormField("email", "E-mail", "email", hint="To sign in with.", is_required=True),
            *_proposed_roles(visit),
        ],
    )


def _proposed_roles(visit: Visit) -> list[FormField]:
    """Return the fields of roles of somebody new: a viewer of what the person looks at."""
    only = _granter(visit).app_id or visit.app_id
    if only is None:
        return _role_fields(visit, Role.VIEWER, {})
    return _role_fields(visit, None, {only: Role.VIEWER})


async def _invite_call(visit: Visit, sent: SentFields) -> ApiCall:
    return ApiCall("POST", "/person", {"email": sent.text("email"), **_roles_of(visit, sent)})


async def _invited(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    text = f"{answer.doc['email']} may come in by this link. {_WORKS}"
    return ActResult(text, visit.link(_PLACE), [ShownValue("Link", answer.doc["link"], True)])


async def _link_form(visit: Visit) -> ActForm:
    person = await _person(visit)
    is_invited = person.status == "invited"
    return ActForm(
        title=f"New link for {person.email}",
        verb="Make the link",
        consequences=["The invitation before it no longer works. The new one works for seven days."]
        if is_invited
        else ["With it the person chooses a new password, within a day; then all sessions end."],
        back=visit.link(_PLACE),
        back_word="People",
    )


async def _link_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("POST", f"/person/{visit.path('person')}/link")


async def _roles_form(visit: Visit) -> ActForm:
    person = await _person(visit)
    return ActForm(
        title=f"Change the roles of {person.email}",
        verb="Change the roles",
        consequences=["They hold from the next click of the person, on every process."],
        back=visit.link(_PLACE),
        back_word="People",
        fields=_role_fields(visit, person.role, person.app_roles),
    )


async def _roles_call(visit: Visit, sent: SentFields) -> ApiCall:
    body = _roles_of(visit, sent)
    if _granter(visit).app_id is not None:  # the role in all applications is not this one's to say
        del body["role"]
    return ApiCall("PATCH", f"/person/{visit.path('person')}", body)


async def _roles_set(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    return ActResult(f"The roles of {answer.doc['email']} are changed.", visit.link(_PLACE))


async def _disable_form(visit: Visit) -> ActForm:
    person = await _person(visit)
    is_disabled = person.status == "disabled"
    return ActForm(
        title=f"{'Enable' if is_disabled else 'Disable'} {person.email}",
        verb="Enable" if is_disabled else "Disable",
        consequences=["The person may sign in again, with the same password and roles."]
        if is_disabled
        else ["All sessions end at once, and the person cannot sign in until you enable it."],
        back=visit.link(_PLACE),
        back_word="People",
        is_danger=not is_disabled,
    )


async def _disable_call(visit: Visit, _: SentFields) -> ApiCall:
    is_disabled = (await _person(visit)).status == "disabled"
    return ApiCall("PATCH", f"/person/{visit.path('person')}", {"disabled": not is_disabled})


async def _disabled(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    email, status = answer.doc["email"], answer.doc["status"]
    return ActResult(f"{email} is {status} now.", visit.link(_PLACE))


async def _sign_out_form(visit: Visit) -> ActForm:
    person = await _person(visit)
    return ActForm(
        title=f"Sign {person.email} out everywhere",
        verb="Sign out everywhere",
        consequences=["All sessions end at once. The person may sign in again."],
        back=visit.link(_PLACE),
        back_word="People",
    )


async def _sign_out_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("POST", f"/person/{visit.path('person')}/sign-out")


async def _signed_out(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    count = answer.doc["sessions"]
    return ActResult(
        f"{count} {'session has' if count == 1 else 'sessions have'} ended.", visit.link(_PLACE)
    )


async def _reset_form(visit: Visit) -> ActForm:
    person = await _person(visit)
    return ActForm(
        title=f"Turn off the second factor of {person.email}",
        verb="Turn off the second factor",
        consequences=[
            "The password alone lets the person in, until it sets up another one.",
            "All sessions end at once.",
        ],
        back=visit.link(_PLACE),
        back_word="People",
        is_danger=True,
    )


async def _reset_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("POST", f"/person/{visit.path('person')}/reset-totp")


async def _reset_done(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    return ActResult(f"{answer.doc['email']} has no second factor now.", visit.link(_PLACE))


async def _unlink_form(visit: Visit) -> ActForm:
    person = await _person(visit)
    return ActForm(
        title=f"Unlink the identity of {person.email}",
        verb="Unlink the identity",
        consequences=[
            f"It is {person.identity}. It lets nobody in any more.",
            "All sessions end at once.",
            "The next sign-in by the provider with the same verified address links another one.",
        ],
        back=visit.link(_PLACE),
        back_word="People",
        is_danger=True,
    )


async def _unlink_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("POST", f"/person/{visit.path('person')}/unlink-identity")


async def _unlinked(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    return ActResult(f"{answer.doc['email']} is linked to no identity now.", visit.link(_PLACE))


async def _remove_form(visit: Visit) -> ActForm:
    person = await _person(visit)
    return ActForm(
        title=f"Remove {person.email}",
        verb="Remove the person",
        consequences=[
            "All sessions and links end at once. The account is gone.",
            "The audit log keeps what the person has done.",
        ],
        back=visit.link(_PLACE),
        back_word="People",
        is_danger=True,
    )


async def _remove_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("DELETE", f"/person/{visit.path('person')}")


async def _removed(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The person is removed.", visit.link(_PLACE))


PAGES = act_pages(
    tuple(
        ActPage(_PLACE + path, "/settings", f"person.{operation}", form, call, done)
        for path, operation, form, call, done in (
            ("/invite", "invite", _invite_form, _invite_call, _invited),
            ("/{person}/link", "link", _link_form, _link_call, _invited),
            ("/{person}/role", "patch", _roles_form, _roles_call, _roles_set),
            ("/{person}/disable", "patch", _disable_form, _disable_call, _disabled),
            ("/{person}/reset-totp", "reset-totp", _reset_form, _reset_call, _reset_done),
            ("/{person}/unlink", "unlink-identity", _unlink_form, _unlink_call, _unlinked),
            ("/{person}/sign-out", "sign-out", _sign_out_form, _sign_out_call, _signed_out),
            ("/{person}/remove", "delete", _remove_form, _remove_call, _removed),
        )
    )
)
