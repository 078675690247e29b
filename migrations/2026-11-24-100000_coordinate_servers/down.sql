DROP TABLE leases;
ALTER TABLE servers
    DROP COLUMN name,
    DROP COLUMN heartbeat_interval_s,
    DROP COLUMN stopped_at,
    DROP COLUMN sessions_ended_at,
    DROP COLUMN sessions,
    DROP COLUMN messages_per_s;
COMMENT ON COLUMN servers.heartbeat_at IS 'Last time the server said that it lives; written about once a minute.';
