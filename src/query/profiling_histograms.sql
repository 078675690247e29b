-- Does: reads the histograms of whole hours; adding them up is slow in SQL.
-- Params: $1 first hour, $2 end, $3 seconds of a bucket or NULL for one bucket, $4 peer id
--   or NULL, $5 targets and $6 names that are wanted, pair by pair.
-- Index: span_hours_pkey with a peer id, else span_hours_hour_idx.
-- Cost: one row for each hour, node, target and name, of 1 kB.
-- Order: none.
SELECT CASE WHEN $3 IS NULL THEN 'epoch' ELSE date_bin(make_interval(secs => $3), hour, 'epoch') END AS bucket_at,
       target AS of_target, name AS of_name, buckets, counts
FROM span_hours
WHERE hour >= $1 AND hour < $2
  AND ($4::text IS NULL OR peer_id = $4)
  AND (target, name) IN (SELECT * FROM unnest($5::text[], $6::text[]))
