-- Failed deliveries of all endpoints, of everything and of one application.
CREATE INDEX deliveries_failed_id ON deliveries (id) WHERE state = 'failed';
CREATE INDEX deliveries_failed_app ON deliveries (app_id, id) WHERE state = 'failed';
