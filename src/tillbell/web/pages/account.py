"""The account of whoever is signed in: password, second factor, and where it is signed in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import segno
from markupsafe import Markup
from starlette.responses import Response

from tillbell.clock import Micros
from tillbell.configure.people import SignedIn
from tillbell.configure.second_factor import TotpEnrolment, WrongCode
from tillbell.errors import Invalid, TooMany, Unauthenticated
from tillbell.model.people import Person, Session
from tillbell.rules.accounts import PASSWORD_MIN, owes_second_factor
from tillbell.web.pages.cookies import begin_session, end_session
from tillbell.web.pages.forms import SAFE_METHODS, read_form
from tillbell.web.pages.notes import note_after
from tillbell.web.pages.page import SitePage, Visit, redirect
from tillbell.web.pages.session import second_factor_rule, session_of, visitor_of

PLACE, TOTP = "/account", "/account/totp"


class SessionRow(NamedTuple):
    """One place where the person is signed in."""

    id: str
    device: str
    address: str
    began_at: Micros
    last_used_at: Micros
    is_this: bool


async def show(visit: Visit) -> Response:
    """Show the account."""
    return await _show(visit)


async def change_password(visit: Visit) -> Response:
    """Change the password of somebody who knows the old one; all other sessions end."""
    signed_in, form = await _signed_in(visit), await read_form(visit.request)
    try:
        if form.get("new") != form.get("again"):
            return await _show(visit, 422, {"again": "The two passwords differ."})
        session = await visit.gateway.people.change_password(
            signed_in, form.get("old", ""), form.get("new", ""), visitor_of(visit.request)
        )
    except Invalid as error:
        return await _show(visit, 422, {str(each.loc[0]): each.msg for each in error.problems})
    except TooMany as error:
        return await _show(visit, 429, {"old": str(error)})
    response = _done("Your password is changed. All your other sessions have ended.", visit)
    begin_session(visit.request, response, session.token)
    return response


async def unlink_identity(visit: Visit) -> Response:
    """Let the identity provider sign the person in no more; all other sessions end."""
    signed_in, form = await _signed_in(visit), await read_form(visit.request)
    try:
        session = await visit.gateway.people.unlink_identity(
            signed_in, form.get("password", ""), visitor_of(visit.request)
        )
    except Invalid as error:
        return await _show(visit, 422, {str(each.loc[0]): each.msg for each in error.problems})
    except TooMany as error:
        return await _show(visit, 429, {"password": str(error)})
    response = _done("You sign in with your password alone now. All other sessions ended.", visit)
    begin_session(visit.request, response, session.token)
    return response


async def end_one(visit: Visit) -> Response:
    """End another session of the same person."""
    form = await read_form(visit.request)
    await visit.gateway.people.end_session(
        await _signed_in(visit), form.get("session", ""), visitor_of(visit.request)
    )
    return _done("That session has ended.", visit)


async def sign_out_everywhere(visit: Visit) -> Response:
    """End all sessions of the person, this one too."""
    await visit.gateway.people.end_all_sessions(await _signed_in(visit), visitor_of(visit.request))
    response = redirect("/login")
    end_session(visit.request, response)
    return response


async def totp(visit: Visit) -> Response:
    """Show a new secret for a phone, or turn the second factor on with a code of it."""
    signed_in, factors = await _signed_in(visit), visit.gateway.second_factors
    person = signed_in.person
    if person.totp_secret:
        return redirect(PLACE)
    if visit.request.method in SAFE_METHODS:
        return _show_totp(visit, person, 200, factors.enrolment(person))
    form = await read_form(visit.request)
    sealed = form.get("secret", "")
    try:
        codes = await factors.turn_on(
            signed_in, sealed, form.get("code", ""), visitor_of(visit.request)
        )
    except WrongCode as error:
        return _show_totp(visit, person, 422, factors.shown_again(person, sealed), str(error))
    return visit.show("account_codes.html", codes=codes)


async def totp_off(visit: Visit) -> Response:
    """Turn the second factor off with a code of it."""
    form = await read_form(visit.request)
    try:
        await visit.gateway.second_factors.turn_off(
            await _signed_in(visit), form.get("code", ""), visitor_of(visit.request)
        )
    except WrongCode as error:
        return await _show(visit, 422, {"code": str(error)})
    except TooMany as error:
        return await _show(visit, 429, {"code": str(error)})
    return _done("You sign in with your password alone now.", visit)


PAGES = (
    SitePage(PLACE, show),
    SitePage(f"{PLACE}/password", change_password, methods=("POST",)),
    SitePage(f"{PLACE}/unlink", unlink_identity, methods=("POST",)),
    SitePage(f"{PLACE}/session", end_one, methods=("POST",)),
    SitePage(f"{PLACE}/sign-out", sign_out_everywhere, methods=("POST",)),
    SitePage(TOTP, totp, methods=("GET", "POST")),
    SitePage(f"{PLACE}/totp-off", totp_off, methods=("POST",)),
)


async def _signed_in(visit: Visit) -> SignedIn:
    signed_in = await session_of(visit.request)
    if signed_in is None:
        raise Unauthenticated
    return signed_in


async def _show(
    visit: Visit, status: int = 200, problems: dict[str, str] | None = None
) -> Response:
    person, session = await _signed_in(visit)
    sessions = await visit.gateway.people.sessions(person)
    return visit.show(
        "account.html",
        status,
        person=person,
        sessions=_rows(sessions, session),
        problems=problems or {},
        least=PASSWORD_MIN,
        has_passwords=visit.gateway.people.allows_passwords,
        provider=_provider(visit, person),
        only_way_in=visit.gateway.people.only_way_in(person),
    )


def _provider(visit: Visit, person: Person) -> str:
    """Return the name of the identity provider that a person may come by; "": there is none."""
    settings = visit.gateway.settings
    if not settings.oidc_issuer:
        return person.oidc_id.partition(" ")[0]
    return settings.oidc_name


def _rows(sessions: Sequence[Session], this: Session) -> list[SessionRow]:
    return [
        SessionRow(
            session.id,
            session.user_agent or "unknown",
            session.address,
            session.created_at,
            session.last_used_at,
            session.id == this.id,
        )
        for session in sessions
    ]


def _show_totp(
    visit: Visit, person: Person, status: int, enrolment: TotpEnrolment, problem: str = ""
) -> Response:
    parts = [enrolment.text[start : start + 4] for start in range(0, len(enrolment.text), 4)]
    return visit.show(
        "account_totp.html",
        status,
        e=enrolment,
        secret=" ".join(parts),
        picture=_picture(enrolment.uri),
        is_owed=owes_second_factor(person, second_factor_rule(visit.gateway)),
        problem=problem,
    )


def _picture(uri: str) -> Markup:
    """Return the picture that a phone reads a secret from: an SVG without styles."""
    code = segno.make(uri, error="m", micro=False)
    drawn = code.svg_inline(scale=4, light="#fff", svgclass="qr", lineclass=None)
    return Markup(drawn)  # noqa: S704 - squares alone: nothing of the text is in it


def _done(text: str, visit: Visit) -> Response:
    response = redirect(PLACE)
    note_after(visit.request, response, text)
    return response
