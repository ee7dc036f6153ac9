"""Acts on callbacks: decide them again, as their source is set up now."""

from __future__ import annotations

from tillbell.errors import NotFound
from tillbell.model.callbacks import Callback
from tillbell.web.api.callbacks import DifferenceOut, preview_out
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    SentFields,
    act_pages,
)
from tillbell.web.pages.page import Visit


async def _callback(visit: Visit) -> Callback:
    app = await visit.the_app()
    callback = await visit.gateway.database.callback(app.id, visit.path("callback"))
    if callback is None:
        raise NotFound("There is no such callback.")
    return callback


def _link(visit: Visit, callback: Callback) -> str:
    app_name, _ = visit.names_of(callback.app_id)
    return visit.link(f"/callbacks/{callback.id}", app=app_name)


async def _replay_form(visit: Visit) -> ActForm:
    callback = await _callback(visit)
    preview = preview_out(await visit.gateway.reprocessor.reparse_with_advice(callback))
    consequences = [
        "It is verified, read and decided again, as its source is set up now.",
        "What it did before is not done twice.",
        *(_difference(difference) for difference in preview.differences),
    ]
    if preview.possible and not preview.differences:
        consequences.append("It reads as it did when it came.")
    return ActForm(
        title=f"Replay the callback of {visit.gateway.source_cache.name(callback.source_id)}",
        verb="Replay",
        consequences=consequences,
        back=_link(visit, callback),
        back_word="Callback",
        warning="" if preview.possible else f"Nothing will follow: {preview.why}",
    )


def _difference(difference: DifferenceOut) -> str:
    before = difference.before if difference.before is not None else "none"
    after = difference.after if difference.after is not None else "processed"
    return f"{difference.name}: {before} → {after}"


async def _replay_call(visit: Visit, _: SentFields) -> ApiCall:
    callback = await _callback(visit)
    return ApiCall("POST", f"/app/{callback.app_id}/callback/{callback.id}/replay", {})


async def _replayed(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    callback = await _callback(visit)
    processed = answer.doc["callback"]
    if processed is None:
        return ActResult(f"Nothing was done: {answer.doc['why']}", _link(visit, callback))
    app_name = visit.names_of(callback.app_id)[0]
    link = visit.link(f"/callbacks/{processed['id']}", app=app_name)
    if processed["id"] != callback.id:
        return ActResult("It is believed now: this is its new entry in the log.", link)
    return ActResult("It is decided again. This is what became of it.", link)


PAGES = act_pages(
    (
        ActPage(
            "/callbacks/{callback}/replay",
            "/callbacks",
            "callback.replay",
            _replay_form,
            _replay_call,
            _replayed,
        ),
    )
)
