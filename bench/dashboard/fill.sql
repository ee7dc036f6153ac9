-- What is put into a store: each statement makes the rows with the numbers from {first} to {last}.
-- Both databases read this text; only what stands in braces is written differently.
--
-- bench_ticks has one row for each `{per_tick}` messages: the letters of its time in ids, and the time.
-- bench_apps and bench_endpoints have what the API made. Every second message is of application 0.

-- name: messages
INSERT INTO messages (id, app_id, event_type, created_at, event_id)
SELECT 'msg_' || m.stem, m.app_id, m.event_type, m.at, 'order-' || m.n
FROM ({made}) m;

-- name: bodies
INSERT INTO bodies ({body_app_column} message_id, variant, body)
SELECT {body_app} 'msg_' || m.stem, '',
    {to_bytes_}'{{"type":"order.paid","data":{{"id":"ORD-' || m.n
        || '","amount":"149.99","currency":"EUR","customer":{{"name":"Ana Petrović"}}}}}}'{_to_bytes}
FROM ({made}) m;

-- name: deliveries
-- The last endpoint of each application refuses everything; what is younger than a day waits.
INSERT INTO deliveries
    (id, app_id, endpoint_id, variant, state, due_at, created_at, attempts, tries, token, trigger)
SELECT 'dlv_' || m.stem || e.tail || '0', m.app_id, e.id, '',
    CASE WHEN e.place < {last_place} THEN 'succeeded'
         WHEN m.at > {now} - 86400000000 THEN 'waiting' ELSE 'failed' END,
    {now} + 864000000000, m.at, 1, 1, 1, 'scheduled'
FROM ({made}) m CROSS JOIN bench_endpoints e WHERE e.app = m.app;

-- name: attempts
INSERT INTO attempts
    (id, app_id, endpoint_id, event_type, number, trigger, result, started_at, duration_us, url,
     status_code, error, detail, response, phases)
SELECT 'atmpt_' || m.stem || e.tail || '0' || '0001', m.app_id, e.id, m.event_type, 1, 'scheduled',
    CASE WHEN e.place < {last_place} THEN 'accepted' ELSE 'refused' END,
    m.at + 2000, 20000 + m.n % 90000, e.url,
    CASE WHEN e.place < {last_place} THEN 200 ELSE 503 END, '', '', {to_bytes_}'ok'{_to_bytes}, '1200 0 0 0 19000'
FROM ({made}) m CROSS JOIN bench_endpoints e WHERE e.app = m.app;

-- name: callbacks
INSERT INTO callbacks
    (id, app_id, source_id, provider, received_at, method, size, trust, verdict_why, outcome, why,
     transaction_id, processed_at, hops)
SELECT 'cbk_' || m.stem, m.app_id, a.source_id, 'stripe', m.at, 'POST', 800,
    CASE WHEN m.n % 25 = 3 THEN NULL ELSE 4 END, 'the signature is right',
    CASE WHEN m.n % 25 = 3 THEN 'unauthenticated' WHEN m.n % 25 = 4 THEN 'duplicate'
         WHEN m.n % 25 = 5 THEN 'unmatched' WHEN m.n % 25 = 6 THEN 'ignored' ELSE 'applied' END,
    '', CASE WHEN m.n % 25 = 5 THEN NULL ELSE 'trx_' || m.stem END, m.at + 1000, 0
FROM ({made}) m JOIN bench_apps a ON a.app = m.app;

-- name: transactions
INSERT INTO transactions
    (id, app_id, direction, kind, amount, currency, created_at, updated_at, uid, version, provider,
     source_id, user_id, order_id, psp_transaction_id, reserves, checks)
SELECT 'trx_' || m.stem, m.app_id, 'pay_in', 'payment', 100 + m.n % 90000, 'EUR', m.at, m.at,
    'PAY-BENCH-' || m.n, 2, 'stripe', a.source_id, 'customer-' || m.n % 1000, 'ORD-' || m.n,
    'pi_' || m.n, 0, 0
FROM ({made}) m JOIN bench_apps a ON a.app = m.app;

-- name: begun
INSERT INTO transitions ({step_app_column} transaction_id, sequence, previous_status, status, at)
SELECT {step_app} 'trx_' || m.stem, 1, NULL, 'Pending', m.at FROM ({made}) m;

-- name: ended
INSERT INTO transitions
    ({step_app_column} transaction_id, sequence, previous_status, status, at, callback_id, trust)
SELECT {step_app} 'trx_' || m.stem, 2, 'Pending',
    CASE WHEN m.n % 10 = 0 THEN 'Declined' ELSE 'Approved' END, m.at + 1000, 'cbk_' || m.stem,
    'signed'
FROM ({made}) m WHERE m.n % 20 <> 1;

-- name: effects
INSERT INTO effects ({step_app_column} transaction_id, kind, sequence, amount, currency, at)
SELECT {step_app} 'trx_' || m.stem, 'credit', 2, 100 + m.n % 90000, 'EUR', m.at + 1000
FROM ({made}) m WHERE m.n % 20 <> 1 AND m.n % 10 <> 0;

-- name: conflicts
INSERT INTO conflicts
    (id, app_id, transaction_id, status, current, at, severity, kind, callback_id, why)
SELECT 'cfl_' || m.stem, m.app_id, 'trx_' || m.stem, 'Cancelled', 'Approved', m.at, 'critical',
    'status', 'cbk_' || m.stem, 'Approved, and the provider says Cancelled'
FROM ({made}) m WHERE m.n % 500 = 2;

-- name: totals
INSERT INTO totals
    (app_id, endpoint_id, hour, {shard_column} waiting, sending, succeeded, failed, discarded)
SELECT app_id, endpoint_id, created_at / 3600000000 * 3600000000, {shard}
    sum(CASE state WHEN 'waiting' THEN 1 ELSE 0 END), 0,
    sum(CASE state WHEN 'succeeded' THEN 1 ELSE 0 END),
    sum(CASE state WHEN 'failed' THEN 1 ELSE 0 END), 0
FROM deliveries WHERE due_at = {now} + 864000000000
GROUP BY app_id, endpoint_id, created_at / 3600000000 * 3600000000
ON CONFLICT (app_id, endpoint_id, hour{shard_key}) DO NOTHING;
