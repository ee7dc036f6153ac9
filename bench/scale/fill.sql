-- One batch of messages, each with a payload and one delivery that waits, made by the server.
-- $1: ten letters of the time in the ids; $2: the first number; $3: how many; $4: endpoints;
-- $5: when the messages were made, in microseconds.
--
-- Of ten deliveries one goes to endpoint 0, a deep lane whose deliveries are due one after the
-- other, and one to endpoint 1, a deep lane whose deliveries are all due at one instant, as a
-- recovery leaves them. The rest is spread evenly.
WITH made AS MATERIALIZED (
    SELECT n, $1 || lpad(to_hex(n), 16, '0') AS id,
           CASE WHEN n % 10 = 0 THEN 0 WHEN n % 10 = 1 THEN 1
                ELSE 2 + (n * 2654435761) % ($4::bigint - 2) END AS endpoint
    FROM generate_series($2::bigint, $2::bigint + $3::bigint - 1) AS numbers (n)),
new_messages AS (
    INSERT INTO messages (id, app_id, event_type, created_at)
    SELECT 'msg_' || id, bench_app(endpoint), 'order.paid', $5::bigint FROM made),
new_bodies AS (
    INSERT INTO bodies (app_id, message_id, variant, body)
    SELECT bench_app(endpoint), 'msg_' || id, '',
           convert_to(rpad('{"number":' || n || ',"note":"', 94, '.') || '"}', 'UTF8')
    FROM made),
new_deliveries AS (
    INSERT INTO deliveries (id, app_id, endpoint_id, variant, state, due_at, created_at, attempts,
                            tries, token, trigger)
    SELECT 'dlv_' || id || right(bench_endpoint(endpoint), 10) || '0', bench_app(endpoint),
           bench_endpoint(endpoint), '', 'waiting',
           CASE WHEN endpoint = 1 THEN 1 ELSE $5::bigint + n - $2::bigint END, $5::bigint, 0, 0, 0,
           'scheduled'
    FROM made)
INSERT INTO totals (app_id, endpoint_id, hour, shard, waiting, sending, succeeded, failed, discarded)
SELECT bench_app(endpoint), bench_endpoint(endpoint), $5::bigint / 3600000000 * 3600000000, 0,
       count(*), 0, 0, 0, 0
FROM made GROUP BY endpoint
ON CONFLICT (app_id, endpoint_id, hour, shard)
DO UPDATE SET waiting = totals.waiting + excluded.waiting
