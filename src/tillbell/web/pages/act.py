"""Acts: what a person changes on a page. Each is one call of the REST API.

An act has a page of its own. Before, it says what will happen; its form is sent there, and the call
is made as the person who is signed in, so rights, checks and the audit log are those of the API.
After, it says what has happened, on the page where the thing is, or here if there is something to
read that is shown once.

A form that is sent twice acts once: it holds an idempotency key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from tillbell.errors import Forbidden
from tillbell.vault import new_token
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.api_middleware import ApiGate
from tillbell.web.edge.asgi_types import Headers, Receive, replay_body
from tillbell.web.edge.auth import ApiRequest, Tenant
from tillbell.web.edge.paths import BASE, REQUEST_ID
from tillbell.web.pages.forms import SAFE_METHODS, read_fields
from tillbell.web.pages.notes import note_after
from tillbell.web.pages.page import SitePage, Visit, redirect

_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")  # no field takes a longer one
ONCE = "once"  # the field with the idempotency key
# How the checks of values begin → the whole text for people, or another beginning.
_PLAIN_WORDS = {
    "Field required": "Fill this in.",
    "String should have at least 1 character": "Fill this in.",
    "Input should be a valid integer": "It should be a whole number, such as 30.",
    "Input should be a valid dictionary": "It should be a JSON object, such as {}.",
    "Input should": "It should",
    "String should": "It should",
    "Value should": "It should",
}


class FormChoice(NamedTuple):
    """One value to choose."""

    value: str
    label: str
    hint: str = ""
    is_group: bool = False  # it stands for the choices after it, on a line of its own


class FormField(NamedTuple):
    """One field of a form. Its name is that of the API's member that it sets."""

    name: str
    label: str
    kind: str = "text"  # text, area, choice, select, checks, check, number, date, secret, hidden
    value: str | Sequence[str] = ""
    hint: str = ""
    options: Sequence[FormChoice] = ()
    is_required: bool = False
    is_code: bool = False  # an id, a URL or a payload
    rows: int = 4  # of an area
    is_rare: bool = False  # it stands behind "More settings"


class OtherChoice(NamedTuple):
    """A link to the same act with another choice."""

    word: str
    url: str
    is_chosen: bool


class ActForm(NamedTuple):
    """What an act says before it happens."""

    title: str
    verb: str  # on the button
    consequences: Sequence[str]  # sentences: what will happen
    back: str  # link to where the thing is
    back_word: str
    fields: Sequence[FormField] = ()
    is_danger: bool = False
    warning: str = ""  # why one may not want it
    is_possible: bool = True  # False: there is nothing to do, as the consequences say
    ways: Sequence[
        tuple[str, Sequence[OtherChoice]]
    ] = ()  # label → what else could be done instead


class ApiCall(NamedTuple):
    """One request to the API. `path` begins behind `/api/v1`."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: str = ""


class ApiAnswer(NamedTuple):
    """What the API answered: `doc` is its JSON, {} if there is none."""

    status: int
    doc: dict[str, Any]

    @property
    def is_done(self) -> bool:
        """Tell whether it has happened, or will without fail."""
        return self.status < HTTPStatus.BAD_REQUEST


class ShownValue(NamedTuple):
    """A value to read after an act."""

    label: str
    value: str
    is_secret: bool = False  # it is shown this once, hidden at first


class ActResult(NamedTuple):
    """What an act says after it has happened."""

    text: str
    url: str  # where the browser goes on
    shown: Sequence[ShownValue] = ()  # if any, it goes on only by a link
    is_bad: bool = False  # what was asked for was found out, and it is no good news


class SentFields:
    """The fields of a form as they were sent."""

    def __init__(self, sent: Sequence[tuple[str, str]]) -> None:
        self._sent = sent

    def all(self, name: str) -> list[str]:
        """Return the values of a field that may be there several times; without empty ones."""
        return [value for each, value in self._sent if each == name and value]

    def text(self, name: str) -> str:
        """Return the value of a field, without spaces around; "" if it is not there."""
        values = [value for each, value in self._sent if each == name]
        return values[-1].strip() if values else ""

    def exact(self, name: str) -> str:
        """Return the value of a field with the line ends that browsers change made `\\n`."""
        values = [value for each, value in self._sent if each == name]
        return values[-1].replace("\r\n", "\n") if values else ""

    def has(self, name: str) -> bool:
        """Tell whether a box is ticked."""
        return any(each == name for each, _ in self._sent)

    def words(self, name: str) -> list[str]:
        """Return the values of a field that holds several: by commas, spaces or lines."""
        return self.text(name).replace(",", " ").split()

    def number(self, name: str) -> int | str | None:
        """Return a whole number; the text if it is none, so that the API says what is wrong.

        >>> [SentFields([("days", text)]).number("days") for text in ("30", "1e3", "9" * 19)]
        [30, '1e3', '9999999999999999999']
        """
        text = self.text(name)
        if not text:
            return None
        return int(text) if _WHOLE_NUMBER.fullmatch(text) else text


class ActPage(NamedTuple):
    """An act: its page, the operation of the API that it calls, and its words."""

    path: str
    place: str  # path of the entry of the menu that is marked
    operation: str  # its row in web/edge/access.py says who may
    form: Callable[[Visit], Awaitable[ActForm]]
    call: Callable[[Visit, SentFields], Awaitable[ApiCall]]
    done: Callable[[Visit, ApiCall, ApiAnswer], Awaitable[ActResult]]


def act_pages(acts: Sequence[ActPage]) -> tuple[SitePage, ...]:
    """Return the pages of acts."""
    return tuple(
        SitePage(act.path, _handler(act), act.place, ("GET", "POST"), act.operation) for act in acts
    )


async def call_api(
    visit: Visit, call: ApiCall, once: str = "", tenant: Tenant = Tenant.APPLICATION
) -> ApiAnswer:
    """Call the API as the person who is signed in. `once`: an idempotency key; "": none.

    `tenant`: whose data the operation touches.
    """
    body = msgspec.json.encode(call.body) if call.body is not None else b""
    headers: Headers = [(b"content-type", b"application/json")] if body else []
    if once and call.method == "POST":
        headers.append((b"idempotency-key", once.encode("latin-1", "replace")))
    receive = replay_body(body, visit.request.receive)
    scope = _scope_of(visit, call, headers)
    return await _answer(visit, ApiRequest(scope, receive, visit.principal(tenant), body))


async def send_file(visit: Visit, path: str, query: str, receive: Receive) -> ApiAnswer:
    """Send a file of CSV to the API as the person who is signed in, part by part as it comes."""
    scope = _scope_of(visit, ApiCall("POST", path, query=query), [(b"content-type", b"text/csv")])
    principal = visit.principal(Tenant.APPLICATION)
    return await _answer(visit, ApiRequest(scope, receive, principal, b""))


async def _answer(visit: Visit, request: ApiRequest) -> ApiAnswer:
    api: ApiGate = visit.request.app.state.api
    answer = await api.answer_for(request)
    doc = json.loads(answer.body) if answer.body else {}
    return ApiAnswer(answer.status, doc if isinstance(doc, dict) else {"data": doc})


def _scope_of(visit: Visit, call: ApiCall, headers: Headers) -> dict[str, Any]:
    outer = visit.request.scope
    return {
        "type": "http",
        "asgi": outer["asgi"],
        "http_version": "1.1",
        "scheme": outer["scheme"],
        "server": outer.get("server"),
        "client": outer.get("client"),
        "root_path": "",
        "method": call.method,
        "path": BASE + call.path,
        "raw_path": quote(BASE + call.path).encode(),
        "query_string": call.query.encode(),
        "headers": headers,
        REQUEST_ID: outer.get(REQUEST_ID),
    }


def end_of_day(text: str) -> str | None:
    """Return the last second of a day as the API reads times; None for "".

    >>> end_of_day("2026-12-31"), end_of_day("")
    ('2026-12-31T23:59:59Z', None)
    """
    return f"{text}T23:59:59Z" if text else None


# ── the page of an act ───────────────────────────────────────────────────────────────────────────


class _Problems(NamedTuple):
    """What the API refused: by field, and what belongs to no field of the form."""

    of_fields: dict[str, str]
    others: list[str]
    is_unsure: bool = False  # perhaps it has happened: the same form again acts once


class _RefusedForm(NamedTuple):
    """A form that was sent and refused."""

    status: int
    problems: _Problems
    sent: SentFields


def _handler(act: ActPage) -> Callable[[Visit], Awaitable[Response]]:
    async def handle(visit: Visit) -> Response:
        form = await act.form(visit)
        refusal = visit.refusal(act.operation)
        if visit.request.method in SAFE_METHODS:
            return _show(visit, form, refusal=refusal)
        if refusal:
            raise Forbidden(refusal)
        sent = SentFields(await read_fields(visit.request))
        call = await act.call(visit, sent)
        answer = await call_api(visit, call, sent.text(ONCE), ACCESS[act.operation].tenant)
        if not answer.is_done:
            problems = _problems(form, answer)
            return _show(visit, form, _RefusedForm(answer.status, problems, sent))
        if answer.doc.get("code") == "second_key_needed":
            text = "It is proposed. It happens when another person does the same."
            return _conclude(visit, form, ActResult(text, form.back))
        return _conclude(visit, form, await act.done(visit, call, answer))

    return handle


def _show(
    visit: Visit, form: ActForm, refused: _RefusedForm | None = None, *, refusal: str = ""
) -> Response:
    """Show the form: as it begins, or as it was sent, with what is wrong."""
    fields = form.fields
    if refused is not None:
        fields = [_as_sent(field, refused.sent) for field in fields]
    return visit.show(
        "act.html",
        refused.status if refused is not None else 200,
        f=form,
        fields=fields,
        problems=refused.problems if refused is not None else _Problems({}, []),
        refusal=refusal,
        once=refused.sent.text(ONCE) if refused and refused.problems.is_unsure else new_token(),
    )


def _as_sent(field: FormField, sent: SentFields) -> FormField:
    if field.kind == "checks":
        return field._replace(value=sent.all(field.name))
    if field.kind == "check":
        return field._replace(value="yes" if sent.has(field.name) else "")
    return field._replace(value=sent.exact(field.name))


def _conclude(visit: Visit, form: ActForm, done: ActResult) -> Response:
    if not done.shown:
        response = redirect(done.url)
        note_after(visit.request, response, done.text)
        return response
    return visit.show("act_done.html", f=form, done=done)


def _problems(form: ActForm, answer: ApiAnswer) -> _Problems:
    """Sort what the API says by the fields of the form."""
    detail, code = answer.doc.get("detail", ""), answer.doc.get("code")
    if code == "idempotency_key_in_use":
        text = f"This form was sent before. Look at {form.back_word} whether it was done. If not, "
        text += "open this page again."
        return _Problems({}, [text], is_unsure=True)
    if code == "idempotency_key_reused":
        text = "This form was sent before with other values, and that was done. "
        return _Problems({}, [f"{text}To do it once more with the values below, send it again."])
    if not isinstance(detail, list):
        is_unsure = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return _Problems({}, [str(detail)], is_unsure)
    names = {field.name for field in form.fields}
    of_fields: dict[str, str] = {}
    others = []
    for problem in detail:
        loc = [part for part in problem["loc"] if part != "body"]
        places = (".".join(loc[:end]) for end in range(len(loc), 0, -1))
        name = next((place for place in places if place in names), None)
        if name is None:
            others.append(f"{'.'.join(loc)}: {problem['msg']}" if loc else str(problem["msg"]))
        else:
            of_fields.setdefault(name, _plain(str(problem["msg"])))
    return _Problems(of_fields, others)


def _plain(text: str) -> str:
    """Return what the checks of the API say of a value in words for people.

    >>> _plain("String should have at most 256 characters")
    'It should have at most 256 characters'
    """
    begin = next((words for words in _PLAIN_WORDS if text.startswith(words)), None)
    if begin is None:
        return text
    words = _PLAIN_WORDS[begin]
    return words if words.endswith(".") else words + text.removeprefix(begin)
