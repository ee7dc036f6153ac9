"""The act on retention: for how long things are kept."""

from __future__ import annotations

from tillbell.configure.retention import SETTINGS
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    FormField,
    SentFields,
    act_pages,
)
from tillbell.web.pages.page import Visit

_PLACE = "/settings"
_WORDS = {
    "body_days": ("bodyDays", "Payloads and bytes of callbacks"),
    "history_days": ("historyDays", "Messages, deliveries, attempts, callbacks"),
    "audit_days": ("auditDays", "Audit log"),
}


async def _form(visit: Visit) -> ActForm:
    gateway = visit.gateway
    chosen = await gateway.retention.chosen()
    fields = []
    for name, (member, word) in _WORDS.items():
        own, setting = getattr(chosen, name), getattr(gateway.settings, SETTINGS[name])
        hint = f"Days. Empty: {setting}, as the settings say."
        fields.append(FormField(member, word, "number", "" if own is None else str(own), hint))
    return ActForm(
        title="Change for how long things are kept",
        verb="Save",
        consequences=[
            "What is older is deleted within minutes, and nobody can bring it back.",
            "Books of transactions stay, whatever stands here.",
        ],
        back=visit.link(_PLACE),
        back_word="Settings",
        fields=fields,
        is_danger=True,
    )


async def _call(_: Visit, sent: SentFields) -> ApiCall:
    days = {member: sent.number(member) for member, _ in _WORDS.values()}
    return ApiCall("PATCH", "/retention", days)


async def _done(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    doc = answer.doc
    text = (
        f"Payloads are kept for {doc['bodyDays']} days, history for {doc['historyDays']}, "
        f"the audit log for {doc['auditDays']}."
    )
    return ActResult(text, visit.link(_PLACE))


PAGES = act_pages(
    (ActPage("/settings/retention", "/settings", "retention.patch", _form, _call, _done),)
)
