-- Does: tells the time of the database, whether nodes were judged within the last seconds by the server that judges now,
--   whether an outage of our own goes on, and how many nodes are in trouble.
-- Params: none.
-- Index: node_status_watched_idx, node_status_offline_idx; status_progress, leases, servers and status_outages are small.
-- Cost: the nodes that something is wrong with.
-- Order: none.
SELECT now() AS now,
       EXISTS (
           SELECT FROM status_progress p
           WHERE p.judged_at > now() - interval '15 seconds'
             -- One that has just begun, or started again, has not told yet what outage that was.
             AND NOT EXISTS (
                 SELECT FROM leases l LEFT JOIN servers s ON s.id = l.holder
                 WHERE l.name = 'status' AND greatest(l.acquired_at, s.started_at) > p.judged_at
             )
       ) AS is_judged,
       EXISTS (SELECT FROM status_outages WHERE ended_at IS NULL AND began_at > now() - interval '1 day') AS is_outage,
       (SELECT count(*) FROM node_status WHERE state <> 'offline' AND state IN ('late', 'missing', 'stalled', 'lagging', 'conflict'))
       + (SELECT count(*) FROM node_status WHERE state = 'offline' AND changed_at > now() - interval '7 days') AS troubled
