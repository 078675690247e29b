-- Does: terminates other connections of a writer.
-- Params: $1 the name that this connection has too.
-- Index: none.
-- Cost: one row for each connection of the cluster.
-- Order: none.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE application_name = $1 AND pid <> pg_backend_pid() AND usename = current_user
