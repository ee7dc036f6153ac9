-- Endpoints that are failing, among the health of all: their JSON (in hex) has no "failing_since" null.
CREATE INDEX records_failing ON records (id)
    WHERE kind = 'EndpointHealth' AND position('\x226661696c696e675f73696e6365223a6e756c6c'::bytea IN doc) = 0;
