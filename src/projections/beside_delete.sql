-- Does: deletes the rows of a range of keys that the table beside does not have.
-- Params: none.
-- Index: primary key of both, or events_id_idx.
-- Cost: the rows of the range, in both tables.
-- Order: none.
-- In braces: the tables, the range, and the comparison of keys.
DELETE FROM {table} AS o
WHERE {range} AND NOT EXISTS (SELECT FROM (SELECT * FROM {beside} WHERE {range}) AS n WHERE {is_same})
