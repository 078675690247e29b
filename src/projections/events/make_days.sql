-- Does: makes the days of the events of a range: some may have been purged while these were extracted.
-- Params: none.
-- Index: events_id_idx.
-- Cost: the events of the range.
-- Order: none.
-- In braces: the table beside, and the range.
SELECT make_events_day(at)
FROM (
    SELECT min(received_at) AS at FROM {beside} WHERE {range} AND NOT audit
    GROUP BY date_trunc('day', received_at, 'UTC')
) AS days
