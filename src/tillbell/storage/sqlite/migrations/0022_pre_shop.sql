-- The shop's records: orders, products, customers, subscriptions, shipments (model/shop.py).
CREATE TABLE shop_records (
    kind           TEXT NOT NULL,
    app_id          TEXT NOT NULL,    -- the application
    id             TEXT NOT NULL,
    uid            TEXT,
    updated_at     INTEGER NOT NULL,
    number         TEXT,
    status         TEXT,
    payment_status TEXT,
    customer_id    TEXT,
    email          TEXT,             -- in small letters
    order_id       TEXT,
    doc            BLOB NOT NULL,    -- the record as JSON
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
SELECT kind, scope, id, uid, json_extract(CAST(doc AS TEXT), '$.updated_at'),
       json_extract(CAST(doc AS TEXT), '$.tracking_number'),
       json_extract(CAST(doc AS TEXT), '$.status'),
       json_extract(CAST(doc AS TEXT), '$.reference'), doc
FROM records WHERE kind = 'Shipment';
DELETE FROM records WHERE kind = 'Shipment';
