-- The attempts of an endpoint by their start.
CREATE INDEX attempts_endpoint ON attempts (app_id, endpoint_id, started_at, id);
