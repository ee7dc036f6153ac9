-- name: put_transaction
-- Bound to a transaction's row. Its status (?5) and sequence (?11) are left to its transitions.
-- Index: primary key.
INSERT INTO transactions
    (id, app_id, direction, kind, amount, currency, created_at, updated_at, uid, version,
     previous_status, substate, reason, raw_status, message, settlement_amount,
     settlement_currency, psp_transaction_id, psp_reference, provider, source_id, user_id,
     merchant_reference, order_id, parent_id, metadata, reserves, news_at, news_sequence, check_at,
     checks, if_silent, authorized, captured, credited, refunded, charged_back, reinstated,
     reversed, attempts, movement_id)
VALUES (?1, ?2, ?3, ?4, ?6, ?7, ?8, ?9, ?10, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
        ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37,
        ?38, ?39, ?40, ?41, ?42, ?43)
ON CONFLICT (id) DO UPDATE SET
    app_id = excluded.app_id, direction = excluded.direction, kind = excluded.kind,
    amount = excluded.amount, currency = excluded.currency, created_at = excluded.created_at,
    updated_at = excluded.updated_at, uid = excluded.uid, version = excluded.version,
    previous_status = excluded.previous_status, substate = excluded.substate,
    reason = excluded.reason, raw_status = excluded.raw_status, message = excluded.message,
    settlement_amount = excluded.settlement_amount,
    settlement_currency = excluded.settlement_currency,
    psp_transaction_id = excluded.psp_transaction_id, psp_reference = excluded.psp_reference,
    provider = excluded.provider, source_id = excluded.source_id, user_id = excluded.user_id,
    merchant_reference = excluded.merchant_reference, order_id = excluded.order_id,
    parent_id = excluded.parent_id, metadata = excluded.metadata, reserves = excluded.reserves,
    news_at = excluded.news_at, news_sequence = excluded.news_sequence,
    check_at = excluded.check_at, checks = excluded.checks, if_silent = excluded.if_silent,
    authorized = excluded.authorized, captured = excluded.captured, credited = excluded.credited,
    refunded = excluded.refunded, charged_back = excluded.charged_back,
    reinstated = excluded.reinstated, reversed = excluded.reversed, attempts = excluded.attempts,
    movement_id = excluded.movement_id;

-- name: insert_payment_attempt
-- By which ids of the provider a payment is known. Index: primary key.
INSERT INTO payment_attempts (app_id, psp_transaction_id, source_id, transaction_id)
VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING;

-- name: insert_transition
-- It moves its transaction (a trigger), which says whose it is (?1).
INSERT INTO transitions
    (transaction_id, sequence, previous_status, status, at, callback_id, actor, substate, reason,
     raw_status, message, trust, supersedes, details)
VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15);

-- name: insert_effect
-- Its transaction says whose it is (?1).
INSERT INTO effects (transaction_id, kind, sequence, amount, currency, at, callback_id)
VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8);

-- name: store_conclusion
-- Index: primary key.
UPDATE callbacks
SET outcome = to_.column3, why = to_.column4, processed_at = to_.column5,
    transaction_id = to_.column6, message_ids = to_.column7, retry_at = to_.column8
FROM (VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)) AS to_
WHERE id = to_.column2 AND +app_id = to_.column1;

-- name: insert_item_key
INSERT INTO seen_items (source_id, item_key, app_id, seen_at) VALUES (?1, ?2, ?3, ?4);

-- name: insert_conflict
INSERT INTO conflicts
    (id, app_id, transaction_id, status, current, at, severity, kind, callback_id, amount, currency,
     why, resolved_at, resolution, resolved_by, resolution_reason, reference, candidates)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18);

-- name: insert_audit
INSERT INTO audit (id, app_id, at, actor, action, target, reason, details)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8);

-- name: refundable_amount
-- What was captured of a payment and not refunded yet. Indexes: transactions_parent, primary keys.
SELECT CAST(parent.amount + coalesce((
    SELECT sum(CASE child.kind WHEN 'capture' THEN e.amount ELSE -e.amount END)
    FROM transactions child
    CROSS JOIN effects e ON e.transaction_id = child.id
    WHERE child.parent_id = ?2 AND child.kind IN ('refund', 'capture')
      AND e.kind IN ('credit', 'debit')), 0) + coalesce((
    SELECT sum(e.amount) FROM transactions sibling
    CROSS JOIN transactions child ON child.parent_id = sibling.id
    CROSS JOIN effects e ON e.transaction_id = child.id AND e.kind = 'credit'
    WHERE sibling.parent_id = ?2 AND sibling.kind = 'refund'), 0) AS BIGINT)
FROM effects parent WHERE parent.transaction_id = ?2 AND parent.kind = 'credit';

-- name: present_record
-- What a record's change rests on. Index: primary key.
SELECT doc FROM records WHERE kind = ?1 AND scope = ?2 AND id = ?3;
