-- Does: looks up the numbers of kinds.
-- Params: $1 names.
-- Index: message_kinds_msg_key, where there are many kinds.
-- Cost: one row for each name; kinds that nobody ever sent are left out.
-- Order: none.
SELECT id, msg
FROM message_kinds
WHERE msg = ANY($1)
