"""Payments in a gateway: begins transactions, sends their callbacks, reads the outcome."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec

from tests.flow.gateway_harness import GatewayHarness
from tests.idle import callbacks_processed
from tests.money.psp import PSP, body_of
from tests.patience import PATIENCE_S
from tillbell.model.callbacks import Callback, Notice, ProviderAmount, References, TransactionNotice
from tillbell.model.endpoints import SigningSecret
from tillbell.model.messages import Message
from tillbell.model.sources import Source, Trust
from tillbell.model.transactions import (
    Direction,
    Effect,
    EffectKind,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
    Transition,
)
from tillbell.process.manual.actions import NewTransaction
from tillbell.process.manual.audited import ActionReason, AwaitingSecondKey
from tillbell.providers.kit.base import Incoming, Provider
from tillbell.storage.ports.inbound import CallbackFilter
from tillbell.storage.ports.outbound import Page
from tillbell.vault import hash_key

PENDING, ON_HOLD, PROCESSING, APPROVED, DECLINED, FAILED, CANCELLED, REJECTED = TransactionStatus
PAY_IN, PAY_OUT = Direction
EVERYTHING = Page(10_000, ascending=True)


def news(name: str, status: TransactionStatus | None, **fields: Any) -> TransactionNotice:
    """Tell of the transaction with that uid, order or reference."""
    raw = status.value if status is not None else "nonsense"
    if isinstance(fields.get("amount"), str):
        fields["amount"] = ProviderAmount(fields["amount"], "EUR")
    given = {"references": References((name,)), "raw_status": raw, **fields}
    return TransactionNotice(status=status, **given)


def linked(
    name: str, kind: TransactionKind, own_id: str | None, **fields: Any
) -> TransactionNotice:
    """Tell of something that belongs to the transaction with that name."""
    given = {"status": APPROVED, **fields}
    return news(name, kind=kind, psp_transaction_id=own_id, **given)


class PaymentHarness:
    """One application with one source, in a gateway."""

    def __init__(self, harness: GatewayHarness) -> None:
        self.harness = harness
        self.gateway = harness.gateway
        self.books = harness.gateway.database
        self.app_id = harness.app.id
        self.heard = 0

    async def source(self, *, adapter: Provider = PSP, **config: Any) -> Source:
        """Make a source of the provider, perhaps with another adapter."""
        providers = self.gateway.source_cache.providers
        self.gateway.source_cache.providers = {**providers, "psp": adapter}
        return await self.source_at("psp", **config)

    async def source_at(self, provider: str, *secrets: str, **config: Any) -> Source:
        """Make a source of a provider, with its secrets."""
        vault = self.gateway.vault
        id_ = self.gateway.ids.new("src", self.harness.clock.now())
        source = Source(
            id=id_,
            scope=self.app_id,
            name="till",
            provider=provider,
            token=vault.seal(id_, id_),
            token_hash=hash_key(id_),
            secrets=tuple(SigningSecret(sealed=vault.seal(text, id_)) for text in secrets),
            config=config,
        )
        await self.gateway.config_cache.add(source)
        return source

    async def create(self, uid: str, direction: Direction = PAY_IN, **fields: Any) -> Transaction:
        """Create a transaction of 100.00 EUR."""
        given: dict[str, Any] = {"amount": 10_000, "currency": "EUR", **fields}
        new = NewTransaction(direction, uid=uid, **given)
        made, _ = await self.gateway.manual_actions.create(self.app_id, new, "key_1")
        return made

    # ── the provider ─────────────────────────────────────────────────────────────────────────────

    async def send(
        self,
        source: Source,
        *notices: Notice,
        trust: Trust = Trust.SIGNED,
        key: str | None = None,
    ) -> None:
        """Let the provider send a callback; what follows goes on by itself."""
        self.heard += 1
        body = body_of(notices, trust, key or f"event {self.heard}")
        live = self.gateway.source_cache.compiled(source.id)
        assert live is not None
        incoming = Incoming("POST", "/", (), body, self.harness.clock.now())
        await self.gateway.receiver.receive(live, incoming)

    async def tell(self, source: Source, *notices: Notice, **how: Any) -> Callback:
        """Let the provider send a callback; return it when all that follows has happened."""
        await self.send(source, *notices, **how)
        await self.idle()
        return (await self.callbacks())[-1]

    async def idle(self) -> None:
        """Wait until nothing is being decided, and nothing that was waiting has been woken.

        A chore may have taken a callback's outcome back and not handed it over yet. That takes as
        long as the machine is busy.
        """
        await callbacks_processed(self.gateway)
        async with asyncio.timeout(PATIENCE_S):
            while await self.books.unprocessed_callbacks("", 1):
                await callbacks_processed(self.gateway)

    async def pass_time(self, seconds: float) -> None:
        """Turn the clock; chores that come due do their work."""
        await self.harness.pass_time(seconds)
        await self.idle()

    async def accept(self, conflict_id: str) -> None:
        """Let a person accept what was reported."""
        await self._resolve(conflict_id, "accept")

    async def keep(self, conflict_id: str) -> None:
        """Let a person keep what is booked."""
        await self._resolve(conflict_id, "keep")

    async def _resolve(self, conflict_id: str, choice: str) -> None:
        resolver, reason = self.gateway.conflict_resolver, ActionReason("key_1", "looked at it")
        resolved = await resolver.resolve(self.app_id, conflict_id, choice, reason)
        assert not isinstance(resolved, AwaitingSecondKey)
        await self.idle()

    # ── what became of it ────────────────────────────────────────────────────────────────────────

    async def callbacks(self) -> list[Callback]:
        return await self.books.callbacks(self.app_id, CallbackFilter(), EVERYTHING)

    async def read(self, id_or_uid: str) -> Transaction:
        found = await self.books.transaction(self.app_id, id_or_uid)
        assert found is not None
        return found

    async def status(self, id_or_uid: str) -> TransactionStatus:
        return (await self.read(id_or_uid)).status

    async def steps(self, id_or_uid: str) -> list[Transition]:
        found = await self.read(id_or_uid)
        return await self.books.transitions(found.app_id, found.id)

    async def effects(self, id_or_uid: str) -> list[Effect]:
        """Return the effects of a transaction and of what is linked to it."""
        found = await self.read(id_or_uid)
        family = [found, *await self.books.linked_transactions(found.app_id, found.id)]
        return [effect for one in family for effect in await self.books.effects(one.app_id, one.id)]

    async def moved(self, id_or_uid: str) -> list[tuple[str, str]]:
        """Return what moved: `("credit", "100.00")`."""
        found = await self.effects(id_or_uid)
        return [(one.kind.value, str(Decimal(one.amount).scaleb(-2))) for one in found]

    async def balance(self, id_or_uid: str) -> int:
        """Return all credits without all debits of a payment and what is linked to it, in cents."""
        signs = {EffectKind.CREDIT: 1, EffectKind.DEBIT: -1}
        effects = await self.effects(id_or_uid)
        return sum(signs.get(effect.kind, 0) * effect.amount for effect in effects)

    async def children(self, id_or_uid: str) -> list[Transaction]:
        found = await self.read(id_or_uid)
        return await self.books.linked_transactions(found.app_id, found.id)

    async def conflicts(
        self, id_or_uid: str | None = None, *, open_only: bool = True
    ) -> list[MoneyConflict]:
        of = (await self.read(id_or_uid)).id if id_or_uid is not None else None
        return await self.books.conflicts(self.app_id, EVERYTHING, of, open_only=open_only)

    async def messages(self) -> list[Message]:
        found = await self.harness.messages()
        return sorted(found, key=lambda one: one.id)

    async def told(self) -> Counter[str]:
        """Count messages by their type."""
        return Counter(one.event_type for one in await self.messages())

    async def data(self, message: Message) -> dict[str, Any]:
        """Return the `data` of a message."""
        body = await self.books.body(message.app_id, message.id)
        assert body is not None
        data: dict[str, Any] = msgspec.json.decode(body)["data"]
        return data
