-- Does: summarises the new pages of the time indexes of partitions that are still written to.
-- Params: $1 now.
-- Index: none.
-- Cost: reads the pages written since the last time.
-- Order: none.
SELECT brin_summarize_new_values(x.indexrelid)
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_index x ON x.indrelid = c.oid
JOIN pg_class xc ON xc.oid = x.indexrelid
JOIN pg_am a ON a.oid = xc.relam AND a.amname = 'brin'
WHERE i.inhparent IN ('telemetry_messages'::regclass, 'telemetry_messages_audit'::regclass)
  -- Partitions that ended less than a day ago, or are yet to come.
  AND coalesce(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz > $1 - interval '1 day', true)
