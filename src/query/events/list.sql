-- Does: finds the newest events of a window of arrival.
-- Params: $1 to $7 filter, $8 start and $9 end of the window, $10 arrival and $11 number before which they come, or NULL, $12 rows.
-- Index: events_pkey; events_source_idx or events_name_idx where one is given.
-- Cost: the rows of the answer, and with a filter those between them.
-- Order: arrival and number, the newest first. Those of /audit are read beside the others, so that each follows its index.
(
    SELECT id, event_id, source, peer_id, genesis_hash, chain, name, severity, "time", received_at AS created_at, data
    FROM events
    WHERE NOT audit AND received_at >= $8 AND received_at < $9 AND ($10::timestamptz IS NULL OR (received_at, id) < ($10, $11))
      AND {filter}
    ORDER BY received_at DESC, id DESC LIMIT $12
)
UNION ALL
(
    SELECT id, event_id, source, peer_id, genesis_hash, chain, name, severity, "time", received_at AS created_at, data
    FROM events
    WHERE audit AND received_at >= $8 AND received_at < $9 AND ($10::timestamptz IS NULL OR (received_at, id) < ($10, $11))
      AND {filter}
    ORDER BY received_at DESC, id DESC LIMIT $12
)
ORDER BY created_at DESC, id DESC LIMIT $12
