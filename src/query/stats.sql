-- Does: lists the sizes of tables and indexes; a partitioned one has the sum of
--   its partitions, which are listed too.
-- Params: $1 rows.
-- Index: of the catalogue.
-- Cost: one look at the files of each relation.
-- Order: largest first; the name breaks ties.
WITH files AS (
    SELECT c.oid, c.relname, c.relkind, i.inhparent,
           CASE WHEN c.relkind IN ('r', 'm', 'i') THEN greatest(c.reltuples, 0) ELSE 0 END AS rows_estimate,
           CASE WHEN c.relkind IN ('r', 'm') THEN pg_table_size(c.oid) ELSE pg_relation_size(c.oid) END AS bytes,
           CASE WHEN c.relkind IN ('r', 'm') THEN pg_indexes_size(c.oid) ELSE 0 END AS index_bytes
    FROM pg_class c
    LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
    WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'peer_connections'::regclass) AND c.relkind IN ('r', 'm', 'i', 'p', 'I')
),
sums AS (
    SELECT inhparent AS oid, sum(bytes) AS bytes, sum(index_bytes) AS index_bytes,
           sum(rows_estimate) AS rows_estimate
    FROM files
    WHERE inhparent IS NOT NULL
    GROUP BY inhparent
),
relations AS (
    SELECT f.relname::text AS relation,
           CASE WHEN f.relkind IN ('i', 'I') THEN 'index' ELSE 'table' END AS kind,
           (f.bytes + coalesce(s.bytes, 0))::bigint AS size_bytes,
           (f.index_bytes + coalesce(s.index_bytes, 0))::bigint AS index_bytes,
           (f.rows_estimate + coalesce(s.rows_estimate, 0))::bigint AS rows_estimate,
           parent.relname::text AS partition_of
    FROM files f
    LEFT JOIN sums s ON s.oid = f.oid
    LEFT JOIN pg_class parent ON parent.oid = f.inhparent
)
SELECT relation, kind, pg_size_pretty(size_bytes) AS size, size_bytes, index_bytes,
       size_bytes + index_bytes AS total_bytes, rows_estimate, partition_of
FROM relations
ORDER BY total_bytes DESC, relation
LIMIT $1
