-- name: put_transaction
-- Bound to a transaction's row. Its status (?5) and sequence (?11) are left to its transitions.
-- Index: primary key.
INSERT INTO transactions
    (id, app_id, direction, kind, amount, currency, created_at, updated_at, uid, version,
    previous_status, substate, reason, raw_status, message, settlement_amount,
    settlement_currency, psp_transaction_id, psp_reference, provider, source_id, user_id,
    merchant_reference, order_id, parent_id, metadata, reserves, news_at, news_sequence,
    check_at, checks, if_silent, authorized, captured, credited, refunded, charged_back,
    reinstated, reversed, attempts, movement_id)
SELECT c1, c2, c3, c4, c6, c7, c8, c9, c10, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21,
       c22, c23, c24, c25, c26, c27, c28, c29, c30, c31, c32, c33, c34, c35, c36, c37, c38, c39,
       c40, c41, c42, c43
FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::text[], ?6::bigint[], ?7::text[],
    ?8::bigint[], ?9::bigint[], ?10::text[], ?11::bigint[], ?12::bigint[], ?13::text[],
    ?14::text[], ?15::text[], ?16::text[], ?17::text[], ?18::bigint[], ?19::text[], ?20::text[],
    ?21::text[], ?22::text[], ?23::text[], ?24::text[], ?25::text[], ?26::text[], ?27::text[],
    ?28::text[], ?29::bigint[], ?30::bigint[], ?31::bigint[], ?32::bigint[], ?33::bigint[],
    ?34::text[], ?35::bigint[], ?36::bigint[], ?37::bigint[], ?38::bigint[], ?39::bigint[],
    ?40::bigint[], ?41::bigint[], ?42::text[], ?43::text[])
    AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19,
    c20, c21, c22, c23, c24, c25, c26, c27, c28, c29, c30, c31, c32, c33, c34, c35, c36, c37,
    c38, c39, c40, c41, c42, c43)
ON CONFLICT (app_id, id) DO UPDATE SET
    direction = excluded.direction, kind = excluded.kind,
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
SELECT c1, c2, c3, c4
FROM unnest(?1::text[], ?2::text[], ?3::text[], ?4::text[]) AS r (c1, c2, c3, c4)
ON CONFLICT DO NOTHING;

-- name: insert_transition
-- It moves its transaction (a trigger).
INSERT INTO transitions
    (app_id, transaction_id, sequence, previous_status, status, at, callback_id, actor, substate,
    reason, raw_status, message, trust, supersedes, details)
SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15
FROM unnest(
    ?1::text[], ?2::text[], ?3::bigint[], ?4::text[], ?5::text[], ?6::bigint[], ?7::text[],
    ?8::text[], ?9::text[], ?10::text[], ?11::text[], ?12::text[], ?13::text[], ?14::bigint[],
    ?15::text[])
    AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15)
ORDER BY c1, c2, c3;

-- name: insert_effect
INSERT INTO effects
    (app_id, transaction_id, kind, sequence, amount, currency, at, callback_id)
SELECT c1, c2, c3, c4, c5, c6, c7, c8
FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::bigint[], ?5::bigint[], ?6::text[], ?7::bigint[],
    ?8::text[])
    AS r (c1, c2, c3, c4, c5, c6, c7, c8);

-- name: store_conclusion
-- Index: primary key.
UPDATE callbacks
SET outcome = to_.outcome, why = to_.why, processed_at = to_.processed_at,
    transaction_id = to_.transaction_id, message_ids = to_.message_ids, retry_at = to_.retry_at
FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[], ?6::text[], ?7::text[],
    ?8::bigint[])
    AS to_ (app_id, id, outcome, why, processed_at, transaction_id, message_ids, retry_at)
WHERE callbacks.id = to_.id AND callbacks.app_id = to_.app_id;

-- name: insert_item_key
INSERT INTO seen_items
    (source_id, item_key, app_id, seen_at)
SELECT c1, c2, c3, c4
FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::bigint[])
    AS r (c1, c2, c3, c4);

-- name: insert_conflict
INSERT INTO conflicts
    (id, app_id, transaction_id, status, current, at, severity, kind, callback_id, amount,
    currency, why, resolved_at, resolution, resolved_by, resolution_reason, reference, candidates)
SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18
FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::text[], ?6::bigint[], ?7::text[],
    ?8::text[], ?9::text[], ?10::bigint[], ?11::text[], ?12::text[], ?13::bigint[], ?14::text[],
    ?15::text[], ?16::text[], ?17::text[], ?18::text[])
    AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18);

-- name: insert_audit
INSERT INTO audit
    (id, app_id, at, actor, action, target, reason, details)
SELECT c1, c2, c3, c4, c5, c6, c7, c8
FROM unnest(
    ?1::text[], ?2::text[], ?3::bigint[], ?4::text[], ?5::text[], ?6::text[], ?7::text[],
    ?8::text[])
    AS r (c1, c2, c3, c4, c5, c6, c7, c8);

-- name: refundable_amount
-- What was captured of a payment and not refunded yet. Indexes: transactions_parent, primary keys.
SELECT CAST(parent.amount + coalesce((
    SELECT sum(CASE child.kind WHEN 'capture' THEN e.amount ELSE -e.amount END) FROM (
        SELECT id, kind FROM transactions
        WHERE app_id = ?1 AND parent_id = ?2 AND kind IN ('refund', 'capture') OFFSET 0) child
    CROSS JOIN LATERAL (
        SELECT amount FROM effects
        WHERE app_id = ?1 AND transaction_id = child.id AND kind IN ('credit', 'debit')
        OFFSET 0) e), 0) + coalesce((
    SELECT sum(e.amount) FROM (
        SELECT id FROM transactions
        WHERE app_id = ?1 AND parent_id = ?2 AND kind = 'refund' OFFSET 0) sibling
    CROSS JOIN LATERAL (
        SELECT id FROM transactions
        WHERE app_id = ?1 AND parent_id = sibling.id OFFSET 0) child
    CROSS JOIN LATERAL (
        SELECT amount FROM effects
        WHERE app_id = ?1 AND transaction_id = child.id AND kind = 'credit' OFFSET 0) e), 0) AS BIGINT)
FROM effects parent
WHERE parent.app_id = ?1 AND parent.transaction_id = ?2 AND parent.kind = 'credit';

-- name: present_record
-- What a record's change rests on; its removal waits for this commit. Index: primary key.
SELECT doc FROM records WHERE kind = ?1 AND scope = ?2 AND id = ?3 FOR UPDATE;
