"""The pages before one is signed in: sign-in and one-time links; and signing out."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from tillbell.app import Gateway
from tillbell.configure.people import (
    LinkGone,
    NewAccount,
    NewSession,
    PasswordsOff,
    SecondStep,
    WrongPassword,
)
from tillbell.configure.second_factor import WrongCode
from tillbell.errors import Invalid, TooMany
from tillbell.model.people import LinkPurpose
from tillbell.rules.accounts import PASSWORD_MIN
from tillbell.web.pages.cookies import begin_session, end_session, keep_form_cookie, token_of
from tillbell.web.pages.forms import SAFE_METHODS, csrf_of, read_form
from tillbell.web.pages.page import PublicPage, SitePage, Visit, answer, redirect
from tillbell.web.pages.session import session_of, visitor_of
from tillbell.web.pages.templating import render

LOGIN, SETUP, LOGOUT = "/login", "/setup/{token}", "/logout"
CODE = "/login/code"
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")  # visible ASCII without a backslash


async def login(request: Request) -> Response:
    """Show the form, or sign in and go on to the page that was asked for."""
    if request.method in SAFE_METHODS:
        way = own_path(request.query_params.get("next", ""))
        if await session_of(request) is not None:
            return redirect(way)
        return show_login(request, 200, next=way)
    form = await read_form(request)
    email, way = form.get("email", ""), own_path(form.get("next", ""))
    gateway: Gateway = request.app.state.gateway
    try:
        session = await gateway.people.sign_in(
            email, form.get("password", ""), visitor_of(request), replaces=token_of(request)
        )
    except WrongPassword as error:
        return show_login(request, 422, next=way, email=email, wrong=str(error))
    except PasswordsOff as error:
        return show_login(request, 403, next=way, refused=str(error))
    except TooMany as error:
        shown = show_login(request, 429, next=way, email=email, wait=str(error))
        shown.headers["retry-after"] = str(error.retry_after_s)
        return shown
    if isinstance(session, SecondStep):
        return show_code(request, 200, session.token, way)
    return begin_and_go(request, session, way)


async def second_step(request: Request) -> Response:
    """Go on with a sign-in by a code of the second factor."""
    if request.method in SAFE_METHODS:
        return redirect(LOGIN)
    form = await read_form(request)
    token, way = form.get("step", ""), own_path(form.get("next", ""))
    gateway: Gateway = request.app.state.gateway
    try:
        session = await gateway.second_factors.sign_in(
            token, form.get("code", ""), visitor_of(request), replaces=token_of(request)
        )
    except WrongCode as error:
        return show_code(request, 422, token, way, wrong=str(error))
    except TooMany as error:
        shown = show_code(request, 429, token, way, wait=str(error))
        shown.headers["retry-after"] = str(error.retry_after_s)
        return shown
    except LinkGone as error:
        return show_login(request, 422, next=way, wrong=str(error))
    return begin_and_go(request, session, way)


async def use_link(request: Request) -> Response:
    """Show the form of a one-time link, or do what it is for and sign in."""
    gateway: Gateway = request.app.state.gateway
    token = str(request.path_params["token"])
    try:
        link = await gateway.people.link(token)
        if request.method in SAFE_METHODS:
            return _show_link(request, 200, link.purpose)
        form = await read_form(request)
        visitor = visitor_of(request)
        try:
            session: NewSession | SecondStep
            if link.purpose is LinkPurpose.RECOVERY:
                session = await gateway.people.recover(token, visitor)
            elif form.get("password") != form.get("again"):
                return _show_link(
                    request, 422, link.purpose, form, {"again": "The two passwords differ."}
                )
            elif link.purpose is LinkPurpose.INVITATION:
                session = await gateway.people.accept_invitation(
                    token, form.get("name", ""), form.get("password", ""), visitor
                )
            elif link.purpose is LinkPurpose.SETUP:
                account = NewAccount(
                    form.get("email", ""), form.get("name", ""), form.get("password", "")
                )
                session = await gateway.people.create_first(token, account, visitor)
            else:
                session = await gateway.people.choose_password(
                    token, form.get("password", ""), visitor
                )
        except Invalid as error:
            problems = {str(problem.loc[0]): problem.msg for problem in error.problems}
            return _show_link(request, 422, link.purpose, form, problems)
    except LinkGone:
        return answer(render("link_gone.html", {"host": _host(request)}), 404)
    if isinstance(session, SecondStep):
        return show_code(request, 200, session.token, "/")
    return begin_and_go(request, session, "/")


async def logout(visit: Visit) -> Response:
    """End the session of this browser."""
    signed_in = await session_of(visit.request)
    if signed_in is not None:
        await visit.gateway.people.sign_out(signed_in, visitor_of(visit.request))
    shown = redirect(LOGIN)
    end_session(visit.request, shown)
    return shown


def own_path(text: str) -> str:
    """Return where to go after the sign-in: a path of ours, else Home.

    >>> own_path("/messages?app=shop"), own_path("//evil.example"), own_path("https://evil.example")
    ('/messages?app=shop', '/', '/')
    """
    parts = urlsplit(text) if _OWN_PATH.fullmatch(text) else None
    if parts is None or parts.scheme or parts.netloc or parts.path in (LOGIN, LOGOUT):
        return "/"
    return text


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def begin_and_go(request: Request, session: NewSession, way: str) -> Response:
    """Let the browser have a new session, and go on."""
    shown = redirect(way)
    begin_session(request, shown, session.token)
    return shown


def show_code(request: Request, status: int, step: str, way: str, **values: str) -> Response:
    """Ask for a code of the second factor."""
    shown = {"step": step, "next": way, "wrong": "", "wait": ""} | values
    return _show(request, status, "login_code.html", shown)


def show_login(request: Request, status: int, **values: str) -> Response:
    """Show the form to sign in; `refused` is what the way by the identity provider came to."""
    gateway: Gateway = request.app.state.gateway
    fields = ("email", "next", "wrong", "wait", "refused")
    provider = gateway.settings.oidc_name if gateway.sign_ons is not None else ""
    shown = dict.fromkeys(fields, "") | {"provider": provider} | values
    return _show(request, status, "login.html", shown)


def _show_link(
    request: Request,
    status: int,
    purpose: LinkPurpose,
    form: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
) -> Response:
    values = {
        "is_setup": purpose is LinkPurpose.SETUP,
        "is_invitation": purpose is LinkPurpose.INVITATION,
        "is_recovery": purpose is LinkPurpose.RECOVERY,
        "provider": _gateway(request).settings.oidc_name,
        "form": form or {},
        "problems": problems or {},
        "least": PASSWORD_MIN,
    }
    return _show(request, status, "setup.html", values)


def _show(request: Request, status: int, template: str, values: dict[str, Any]) -> Response:
    context = {
        "csrf_token": csrf_of(request),
        "host": _host(request),
        "has_passwords": _gateway(request).people.allows_passwords,
        **values,
    }
    shown = answer(render(template, context), status)
    keep_form_cookie(request, shown)
    return shown


def _gateway(request: Request) -> Gateway:
    """Return the gateway that serves a request."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def _host(request: Request) -> str:
    return request.headers.get("host", "")


PUBLIC_PAGES = (
    PublicPage(LOGIN, login, ("GET", "POST")),
    PublicPage(CODE, second_step, ("GET", "POST")),
    PublicPage(SETUP, use_link, ("GET", "POST")),
)
PAGES = (SitePage(LOGOUT, logout, methods=("POST",)),)
