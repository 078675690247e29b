-- Does: gives a kind the next number, unless it has one or there is no room for it.
-- Params: $1 name of the kind, $2 last number that it may get, $3 most entries beside those of known kinds, null for a known
--   kind, $4 the known kinds.
-- Index: message_kinds_msg_key.
-- Cost: one row for each kind.
-- Order: none.
WITH added AS (
    INSERT INTO message_kinds (id, msg)
    SELECT max(id) + 1, $1 FROM message_kinds
    HAVING NOT EXISTS (SELECT FROM message_kinds WHERE msg = $1) AND max(id) < $2
        AND coalesce(count(*) FILTER (WHERE id <> 0 AND NOT merged AND msg <> ALL($4)) < $3, true)
    RETURNING id, msg, merged
)
SELECT id, msg, merged FROM added
UNION ALL
SELECT id, msg, merged FROM message_kinds WHERE msg = $1
