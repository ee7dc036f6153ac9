-- The shop's records: orders, products, customers, subscriptions, shipments (model/shop.py).
CREATE TABLE shop_records (
    kind           text COLLATE "C" NOT NULL,
    app_id          text COLLATE "C" NOT NULL, -- the application
    id             text COLLATE "C" NOT NULL,
    uid            text COLLATE "C",
    updated_at     bigint NOT NULL,
    number         text COLLATE "C",
    status         text COLLATE "C",
    payment_status text COLLATE "C",
    customer_id    text COLLATE "C",
    email          text COLLATE "C", -- in small letters
    order_id       text COLLATE "C",
    doc            bytea NOT NULL, -- the record as JSON
    PRIMARY KEY (kind, app_id, id)
);
CREATE UNIQUE INDEX shop_records_uid ON shop_records (kind, app_id, uid) WHERE uid IS NOT NULL;
CREATE INDEX shop_records_id ON shop_records (kind, id);
CREATE INDEX shop_records_scope ON shop_records (app_id, kind, updated_at, id);
CREATE INDEX shop_records_status ON shop_records (app_id, kind, status, updated_at, id)
WHERE status IS NOT NULL;
CREATE INDEX shop_records_number ON shop_records (app_id, kind, number) WHERE number IS NOT NULL;
CREATE INDEX shop_records_email ON shop_records (app_id, kind, email) WHERE email IS NOT NULL;
CREATE INDEX shop_records_customer ON shop_records (app_id, kind, customer_id)
WHERE customer_id IS NOT NULL;
CREATE INDEX shop_records_order ON shop_records (app_id, kind, order_id, updated_at, id)
WHERE order_id IS NOT NULL;

INSERT INTO shop_records (kind, app_id, id, uid, updated_at, number, status, order_id, doc)
SELECT kind, scope, id, uid, (d ->> 'updated_at')::bigint, d ->> 'tracking_number', d ->> 'status',
       d ->> 'reference', doc
FROM (SELECT *, convert_from(doc, 'UTF8')::jsonb AS d FROM records WHERE kind = 'Shipment') r;
DELETE FROM records WHERE kind = 'Shipment';
