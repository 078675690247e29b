-- Does: tells whether the database answers and has the views that queries read.
-- Params: none.
-- Index: of the catalogue.
-- Cost: one row.
-- Order: none.
SELECT to_regclass('telemetry_logs') IS NOT NULL AND to_regclass('peer_connections') IS NOT NULL AS has_schema
