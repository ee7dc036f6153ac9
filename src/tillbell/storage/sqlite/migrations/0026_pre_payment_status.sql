-- Lists of orders by how they are paid.
CREATE INDEX shop_records_payment ON shop_records (app_id, kind, payment_status, updated_at, id)
    WHERE payment_status IS NOT NULL;
