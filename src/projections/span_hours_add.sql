-- Does: adds the times of spans to the hours of nodes; finds the hours with new rows.
-- Params: $1 JSON array of objects with the columns of span_hours.
-- Index: span_hours_pkey.
-- Cost: one row for each target and name in an hour of a node.
-- Order: by key, so that two transactions never wait for each other in a circle.
-- Where merge stands in braces belongs span_hours_merge.sql.
WITH written AS (
    INSERT INTO span_hours AS n (peer_id, genesis_hash, session_id, hour, target, name, count, total_ns, min_ns, max_ns, buckets, counts)
    SELECT peer_id, genesis_hash, session_id, hour, target, name, count, total_ns, min_ns, max_ns, buckets, counts
    FROM json_populate_recordset(NULL::span_hours, $1::json)
    ORDER BY peer_id, genesis_hash, session_id, hour, target, name
    {merge}
    -- Only a row that was there before has been locked.
    RETURNING n.peer_id, n.genesis_hash, n.session_id, n.hour, n.xmax = 0 AS is_new
)
SELECT DISTINCT peer_id, genesis_hash, session_id, hour FROM written WHERE is_new
