-- Does: looks kinds up in the dictionary.
-- Params: $1 numbers or NULL, $2 names or NULL.
-- Index: message_kinds_pkey or message_kinds_msg_key, where there are many kinds.
-- Cost: one row for each kind; those that were never sent are left out.
-- Order: none.
SELECT id, msg
FROM message_kinds
WHERE ($1::smallint[] IS NULL OR id = ANY($1))
  AND ($2::text[] IS NULL OR msg = ANY($2))
