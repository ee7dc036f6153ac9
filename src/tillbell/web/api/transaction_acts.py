"""What people do to a transaction: each act has a reason and lands in the audit log."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Response

from tillbell.process.operator import ActionReason, AwaitingSecondKey
from tillbell.process.resend_message import MessageResender
from tillbell.web.api.money_in import checked_amount
from tillbell.web.api.routes import GatewayOf, PrincipalOf, also_answers, resource
from tillbell.web.api.shapes.transactions import (
    ActIn,
    AwaitedOut,
    ResentOut,
    ReverseIn,
    TransactionOut,
)
from tillbell.web.api.transaction_view import transaction_out
from tillbell.web.api.transactions import WRITE, TransactionOf

router = resource("/app/{app_id}/transaction/{transaction_id}", "Transaction")

SECOND_KEY: dict[int | str, Any] = also_answers(
    202, AwaitedOut, "Proposed: a second API key must do the same."
)


class TransactionAction:
    """Does one action on the transaction of the path, for the key that asks."""

    def __init__(
        self, transaction: TransactionOf, body: ActIn, gateway: GatewayOf, who: PrincipalOf
    ) -> None:
        self._transaction = transaction
        self._manual_actions = gateway.manual_actions
        self._act = ActionReason(who.key.id, body.reason)

    async def do(self, action: str) -> TransactionOut | Response:
        """Do it; 202 if it waits for a second key."""
        found = self._transaction
        done = await self._manual_actions.change_status(found.app_id, found.id, action, self._act)
        if isinstance(done, AwaitingSecondKey):
            return proposed(done, f"transaction.{action}")
        return transaction_out(done)


ActorOf = Annotated[TransactionAction, Depends()]


@router.post("/hold", dependencies=WRITE, response_model=TransactionOut)
async def hold(actor: ActorOf) -> TransactionOut | Response:
    """Hold a pending transaction until a person has looked at it."""
    return await actor.do("hold")


@router.post("/release", dependencies=WRITE, response_model=TransactionOut)
async def release(actor: ActorOf) -> TransactionOut | Response:
    """Let a held transaction go on: Pending again."""
    return await actor.do("release")


@router.post("/approve", dependencies=WRITE, response_model=TransactionOut, responses=SECOND_KEY)
async def approve(actor: ActorOf) -> TransactionOut | Response:
    """Let a pay-out proceed: Processing. Its provider says how it ends."""
    return await actor.do("approve")


@router.post("/reject", dependencies=WRITE, response_model=TransactionOut, responses=SECOND_KEY)
async def reject(actor: ActorOf) -> TransactionOut | Response:
    """Refuse a pay-out: Rejected. What was reserved is released."""
    return await actor.do("reject")


@router.post("/cancel", dependencies=WRITE, response_model=TransactionOut)
async def cancel(actor: ActorOf) -> TransactionOut | Response:
    """Cancel a transaction that has not begun to be processed."""
    return await actor.do("cancel")


@router.post("/reverse", dependencies=WRITE)
async def reverse(
    transaction: TransactionOf, body: ReverseIn, gateway: GatewayOf, who: PrincipalOf
) -> TransactionOut:
    """Record that an approved transaction was undone. Answers with the linked reversal."""
    amount = None
    if body.amount is not None:
        amount = checked_amount(body.amount, transaction.currency)
    act = ActionReason(who.key.id, body.reason)
    made = await gateway.manual_actions.reverse(transaction.app_id, transaction.id, amount, act)
    return transaction_out(made)


async def the_message_resender(request: Request) -> MessageResender:
    """Give the one who tells again."""
    reteller: MessageResender = request.app.state.reteller
    return reteller


@router.post("/resend", dependencies=WRITE)
async def resend(
    transaction: TransactionOf,
    body: ActIn,
    reteller: Annotated[MessageResender, Depends(the_message_resender)],
    who: PrincipalOf,
) -> ResentOut:
    """Send the message of the latest step again, to all who want it; its id stays the same."""
    told = await reteller.resend(transaction, ActionReason(who.key.id, body.reason))
    return ResentOut(
        message_id=told.message.id,
        event_type=told.message.event_type,
        endpoint_ids=list(told.endpoint_ids),
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
