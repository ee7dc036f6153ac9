-- The attempts of an endpoint by their start.
CREATE INDEX attempts_endpoint ON attempts (endpoint_id, started_at);
