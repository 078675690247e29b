DROP FUNCTION node_uptime(timestamptz, timestamptz);
DROP FUNCTION node_uptime(text, text, timestamptz, timestamptz);
DROP TABLE status_progress;
DROP TABLE status_outages;
DROP TABLE status_changes;
DROP TABLE chain_status;
DROP TABLE node_status;
COMMENT ON COLUMN session_values.seen_at IS 'Arrival of the last message with a value.';
COMMENT ON COLUMN nodes.last_seen_at IS 'Arrival of its last message, to about a minute.';
ALTER TABLE nodes
    DROP COLUMN server_id,
    DROP COLUMN conflict_since;
ALTER TABLE servers
    DROP COLUMN delayed_at,
    DROP COLUMN clock_offset_s;
