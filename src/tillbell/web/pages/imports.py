"""Imports: a file is checked first, then written; a large one goes on as a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from tillbell.errors import Forbidden
from tillbell.rules.tables.changes import ImportKind
from tillbell.web.edge.asgi_types import replay_body
from tillbell.web.pages.act import ApiAnswer, SentFields, send_file
from tillbell.web.pages.forms import SAFE_METHODS, is_form, read_fields
from tillbell.web.pages.notes import note_after
from tillbell.web.pages.page import SitePage, Visit, redirect

_PLACE = "/exports"
_STOP, _IMPORT = "stop", "import"
_EXAMPLES = {
    ImportKind.ORDERS: "uid,number,status,amount,currency,customer.email\n"
    "1001,1001,paid,149.90,EUR,ada@example.com",
    ImportKind.PRODUCTS: "uid,name,sku,stock,price,currency\ncourse,Course,C-1,12,149.90,EUR",
    ImportKind.STOCK: "uid,stock\ncourse,11",
    ImportKind.CUSTOMERS: "uid,name,email,consent.isGiven\ncus-1,Ada Lovelace,ada@example.com,true",
    ImportKind.SUBSCRIPTIONS: "uid,status,plan,amount,currency\nsub-1,active,Monthly,29.99,EUR",
}


def _handler(kind: ImportKind) -> Callable[[Visit], Awaitable[Response]]:
    operation = f"import.{kind}"

    async def handle(visit: Visit) -> Response:
        app = await visit.the_app()
        refusal = visit.refusal(operation)
        if visit.request.method in SAFE_METHODS:
            return _show(visit, kind, refusal=refusal)
        if refusal:
            raise Forbidden(refusal)
        step, on_error, rows = visit.query("step"), visit.query("onError"), ""
        receive = visit.request.receive
        if is_form(visit.request):  # pasted rows, or a browser without scripts
            sent = SentFields(await read_fields(visit.request))
            step, on_error, rows = sent.text("step"), sent.text("onError"), sent.exact("rows")
            receive = replay_body(rows.encode(), receive)
        is_dry_run = step != _IMPORT
        query = {"dryRun": "false" if step == _IMPORT else "true", "onError": on_error or _STOP}
        path = f"/app/{app.id}/import/{kind}"
        answer = await send_file(visit, path, urlencode(query), receive)
        if answer.is_done and "task" in answer.doc:
            shown = redirect(visit.link(f"/jobs/{answer.doc['id']}", app=app.uid or app.id))
            note_after(visit.request, shown, "The file is read in the background.")
            return shown
        values = {"rows": rows, "skips": on_error == "skip", "is_dry_run": is_dry_run}
        return _show(visit, kind, answer, **values)

    return handle


def _show(visit: Visit, kind: ImportKind, answer: ApiAnswer | None = None, **more: Any) -> Response:
    values: dict[str, Any] = {
        "kind": kind.value,
        "app_name": visit.app_name,
        "example": _EXAMPLES[kind],
        "report": answer.doc if answer is not None and answer.is_done else None,
        "problems": _problems(answer) if answer is not None and not answer.is_done else [],
        "refusal": "",
        "rows": "",
        "skips": False,
        "is_dry_run": True,
    }
    # Scripts put the report of a refused file into the page as they do that of one that was read.
    return visit.show("import.html", **(values | more))


def _problems(answer: ApiAnswer) -> list[str]:
    """Return what is wrong with a file that was not read."""
    detail = answer.doc.get("detail", "")
    if isinstance(detail, list):
        return [str(problem["msg"]) for problem in detail]
    return [str(detail)]


PAGES = tuple(
    SitePage(f"/imports/{kind}", _handler(kind), _PLACE, ("GET", "POST"), f"import.{kind}")
    for kind in ImportKind
)
