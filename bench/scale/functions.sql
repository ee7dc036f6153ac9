-- The ids of endpoint number n, and of its application: ten endpoints each.
CREATE FUNCTION bench_endpoint(n bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT 'ep_01k0000000000000' || lpad(to_hex(n), 10, '0') $$;
CREATE FUNCTION bench_app(n bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT 'app_01k0000000000000' || lpad(to_hex(n / 10), 10, '0') $$;
