"""What all manual actions share: a reason, and the answer while a second key is awaited."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Response
from pydantic import Field

from tillbell.process.manual.audited import AwaitingSecondKey
from tillbell.web.api.routes import also_answers
from tillbell.web.api.shapes import In, Out

Reason = Annotated[
    str, Field(min_length=1, max_length=1000, description="Goes into the audit log.")
]


class ActIn(In):
    """Why something is done."""

    reason: Reason


class AwaitedOut(Out):
    """An action that waits for the word of a second API key."""

    code: str = Field(description="second_key_needed")
    detail: str
    action: str
    proposed_by: str = Field(description="The API key that has done it first.")


SECOND_KEY: dict[int | str, Any] = also_answers(
    202, AwaitedOut, "Proposed: a second API key must do the same."
)


def proposed(awaited: AwaitingSecondKey, action: str) -> Response:
    """Say that a second key is needed."""
    shown = AwaitedOut(
        code="second_key_needed",
        detail="It is proposed. Another API key must do the same before it is done.",
        action=action,
        proposed_by=awaited.proposed_by,
    )
    return Response(shown.model_dump_json(by_alias=True), 202, media_type="application/json")
