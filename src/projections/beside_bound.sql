-- Does: finds the last key of the next rows, of whichever of the two tables has more of them.
-- Params: $1 rows.
-- Index: primary key, or events_id_idx.
-- Cost: the keys of those rows, in both tables.
-- Order: by key.
-- In braces: the tables, the order, its columns as a literal, and where the rows begin.
SELECT {literal} AS key
FROM (
    (SELECT {order} FROM {table} WHERE {range} ORDER BY {order} OFFSET $1 - 1 LIMIT 1)
    UNION ALL
    (SELECT {order} FROM {beside} WHERE {range} ORDER BY {order} OFFSET $1 - 1 LIMIT 1)
) AS last_of_each
ORDER BY {order} LIMIT 1
