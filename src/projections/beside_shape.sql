-- Does: finds the columns of a table and its primary key, as parts of statements.
-- Params: $1 the table.
-- Index: of the catalog.
-- Cost: one row.
-- Order: none.
SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '') AS columns,
       string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) FILTER (WHERE k.place IS NOT NULL) AS key,
       string_agg(format('n.%1$I = o.%1$I', a.attname), ' AND ') FILTER (WHERE k.place IS NOT NULL) AS is_same,
       string_agg(format('%1$I = excluded.%1$I', a.attname), ', ') FILTER (WHERE k.place IS NULL AND a.attgenerated = '') AS replaced
FROM pg_attribute a
LEFT JOIN (
    SELECT i.indrelid, k.attnum, k.place
    FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
    WHERE i.indisprimary
) k ON k.indrelid = a.attrelid AND k.attnum = a.attnum
WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped
