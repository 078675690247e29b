-- Does: enters the rows of a range of keys that are new or other in the table beside.
-- Params: none.
-- Index: primary key of both, or events_id_idx.
-- Cost: the rows of the range, in both tables; what is alike is not written.
-- Order: none.
-- In braces: the tables, the range, columns, key, and what replaces the others.
INSERT INTO {table} ({columns})
SELECT {columns} FROM {beside} WHERE {range}
EXCEPT
SELECT {columns} FROM {table} WHERE {range}
ON CONFLICT ({key}) DO UPDATE SET {replaced}
