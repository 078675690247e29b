-- Does: checks whether a table that is built beside another one has its columns: an upgrade may
--   have changed them meanwhile.
-- Params: $1 the table, $2 the one beside it.
-- Index: of the catalog.
-- Cost: one row.
-- Order: none.
SELECT (SELECT array_agg(attname || ' ' || atttypid ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped)
    IS NOT DISTINCT FROM
       (SELECT array_agg(attname || ' ' || atttypid ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = to_regclass($2) AND attnum > 0 AND NOT attisdropped) AS holds
