-- Does: gives a kind the next number, unless it has one.
-- Params: $1 name of the kind, $2 last number that it may get.
-- Index: message_kinds_msg_key.
-- Cost: one row.
-- Order: none.
WITH added AS (
    INSERT INTO message_kinds (id, msg)
    SELECT max(id) + 1, $1 FROM message_kinds
    HAVING NOT EXISTS (SELECT FROM message_kinds WHERE msg = $1) AND max(id) < $2
    RETURNING id, msg, merged
)
SELECT id, msg, merged FROM added
UNION ALL
SELECT id, msg, merged FROM message_kinds WHERE msg = $1
