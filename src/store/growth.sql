-- Does: how large the partitions of the messages are, and how fast the newest of them grow.
-- Params: $1 names of all partitions; $2 names of those that were written lately; $3 when the first of these begins.
-- Index: of the catalogue; peer_connections is read as a whole.
-- Cost: a look at the files of each partition, and one row for each session.
-- Order: one row; recent_s is null before the first session.
SELECT coalesce((SELECT sum(pg_total_relation_size(to_regclass(p.name))) FROM unnest($1) AS p(name)), 0)::bigint AS bytes,
       coalesce((SELECT sum(pg_total_relation_size(to_regclass(p.name))) FROM unnest($2) AS p(name)), 0)::bigint AS recent_bytes,
       CASE WHEN s.first_at IS NOT NULL THEN extract(epoch FROM now() - greatest($3, s.first_at)) END::float8 AS recent_s
FROM (SELECT min(c.created_at) AS first_at FROM peer_connections c) s
