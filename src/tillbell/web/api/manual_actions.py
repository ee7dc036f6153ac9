"""What manual actions share: their reason, and the answer if a second key must act too."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Response
from pydantic import Field

from tillbell.process.manual.audited import AwaitingSecondKey
from tillbell.web.api.routes import also_answers
from tillbell.web.api.shapes import Decides, In, Out

Reason = Annotated[
    str,
    Field(min_length=1, max_length=1000, description="It is stored in the audit log."),
    Decides(),
]


class ActIn(In):
    """Why a manual action is done."""

    reason: Reason


class AwaitedOut(Out):
    """A manual action that a second API key must do too."""

    code: Literal["second_key_needed"] = Field(description="Always `second_key_needed`.")
    detail: str = Field(description="What must happen for the action to be done, for people.")
    action: str = Field(description="The action, e.g. `transaction.approve`.")
    proposed_by: str = Field(description="Id of the API key that proposed it.")


SECOND_KEY: dict[int | str, Any] = also_answers(
    202, AwaitedOut, "Proposed: a second API key must do the same."
)


def proposed(awaited: AwaitingSecondKey, action: str) -> Response:
    """Answer 202: the action is proposed, and a second key must do it too."""
    answer = AwaitedOut(
        code="second_key_needed",
        detail="The action is proposed. It is done when another API key requests the same.",
        action=action,
        proposed_by=awaited.proposed_by,
    )
    return Response(answer.model_dump_json(by_alias=True), 202, media_type="application/json")
