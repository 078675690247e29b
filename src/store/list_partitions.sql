-- Does: lists the partitions of the messages with their spans, but not the two default ones.
-- Params: none.
-- Index: of the catalogue.
-- Cost: one row for each partition.
-- Order: start, then name, which is unique.
SELECT c.relname::text AS name,
       p.relname = 'telemetry_messages_audit' AS audit,
       substring(b.bound FROM 'FROM \(''([^'']+)''\)')::timestamptz AS start,
       substring(b.bound FROM 'TO \(''([^'']+)''\)')::timestamptz AS "end"
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_class p ON p.oid = i.inhparent
CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound) b
WHERE i.inhparent IN ('telemetry_messages'::regclass, 'telemetry_messages_audit'::regclass)
  AND b.bound <> 'DEFAULT'
ORDER BY 3, 1
