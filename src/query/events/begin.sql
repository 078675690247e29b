-- Does: finds from when on there are events.
-- Params: none.
-- Index: of the catalogue, events_audit_pkey.
-- Cost: one row for each day.
-- Order: none.
SELECT least(
    (SELECT min(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([^'']+)''\)')::timestamptz)
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events_kept'::regclass),
    (SELECT min(received_at) FROM events WHERE audit)
) AS begin
