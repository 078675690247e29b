-- Does: terminates other connections of this name, then takes the name.
-- Params: $1 the name.
-- Index: none.
-- Cost: one row for each connection of the cluster.
-- Order: termination comes first.
WITH others AS MATERIALIZED (
    SELECT count(pg_terminate_backend(pid))
    FROM pg_stat_activity
    WHERE application_name = $1 AND pid <> pg_backend_pid() AND usename = current_user
)
SELECT set_config('application_name', $1, false) FROM others
