//! *PostgreSQL and jobs*: how large the database grows, how it does, and who carries out which job.

use super::dashboard::Dashboard;
use super::panel::Panel;
use super::variable::{Annotation, Variable};
use super::{field, link};

pub(super) fn dashboard(server_url: &str) -> Dashboard {
    Dashboard {
        uid: "tetcore-postgresql".to_owned(),
        title: "PostgreSQL and jobs".to_owned(),
        description: "The database: size, connections, pools, writers; and the jobs that servers carry out on it: projections, retention, status, alerts.",
        range: "6h",
        refresh: "1m",
        variables: vec![Variable::instances(), Variable::server(server_url)],
        annotations: vec![Annotation::own_outages()],
        panels: vec![
            now(),
            tables(),
            connections(),
            pool(),
            pool_wait(),
            batches(),
            batch_seconds(),
            retries(),
            Panel::row("Jobs"),
            jobs(),
            projections(),
            runs(),
            late(),
            job_seconds(),
            job_errors(),
            held(),
            retention(),
            partitions(),
            lost(),
        ],
    }
}

fn now() -> Panel {
    Panel::stat("Database", "Size of the database, its connections, and how much it reads from memory.")
        .sql(
            "SELECT pg_database_size(current_database()) AS size, (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('max_connections')::bigint AS \"connections at most\",
       d.blks_hit / nullif(d.blks_hit + d.blks_read, 0)::float8 AS \"read from memory\", d.deadlocks, d.temp_bytes AS \"temporary files\",
       pg_postmaster_start_time() AS started, current_setting('server_version') AS version
FROM pg_stat_database d WHERE d.datname = current_database()",
        )
        .column("size", vec![field::unit("bytes")])
        .column("read from memory", vec![field::unit("percentunit")])
        .column("temporary files", vec![field::unit("bytes")])
        .column("started", vec![field::unit("dateTimeFromNow")])
        .column("deadlocks", field::bad_from(1.0, "orange"))
        .all(vec![field::links(link::page("Server page", "server"))])
}

fn tables() -> Panel {
    Panel::table("Largest tables", "With their indexes; partitions by themselves. Rows that are dead wait for vacuum.")
        .size(24, 9)
        .sql(
            "SELECT relname AS \"table\", pg_total_relation_size(relid) AS size, pg_indexes_size(relid) AS indexes, n_live_tup AS rows, n_dead_tup AS dead,
       n_tup_ins AS inserted, seq_scan AS \"whole scans\", idx_scan AS \"index scans\", greatest(last_vacuum, last_autovacuum) AS vacuumed,
       greatest(last_analyze, last_autoanalyze) AS analysed
FROM pg_stat_user_tables ORDER BY 2 DESC LIMIT 50",
        )
        .column("size", vec![field::unit("bytes")])
        .column("indexes", vec![field::unit("bytes")])
}

fn connections() -> Panel {
    Panel::table("Connections", "Who is connected now; what others do only a superuser sees.")
        .size(12, 8)
        .sql(
            "SELECT coalesce(nullif(application_name, ''), '(none)') AS application, usename AS role, count(*) AS connections, min(backend_start) AS \"oldest since\"
FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 100",
        )
}

fn pool() -> Panel {
    Panel::lines(
        "Pool for queries",
        "Its connections, those in use, and its limit.",
    )
    .prom("sum(tetcore_analytics_query_pool_connections{@i})", "open")
    .prom(
        "sum(tetcore_analytics_query_pool_connections{@i} - tetcore_analytics_query_pool_idle{@i})",
        "in use",
    )
    .prom(
        "sum(tetcore_analytics_query_pool_connections_max{@i})",
        "limit",
    )
}

fn pool_wait() -> Panel {
    Panel::lines("Wait for the pool", "How long queries waited for a connection: 99 %.")
        .unit("s")
        .prom("histogram_quantile(0.99, sum by (le) (rate(tetcore_analytics_query_pool_wait_seconds_bucket{@i}[$__rate_interval])))", "99 %")
}

fn batches() -> Panel {
    Panel::lines("Batches", "Batches that left for the database, per second, by what made them leave, and the mean of their messages.")
        .unit("cps")
        .prom("sum by (reason) (rate(tetcore_analytics_store_batches_total{@i}[$__rate_interval]))", "{{reason}}")
        .prom("sum(rate(tetcore_analytics_store_batch_rows_sum{@i}[$__rate_interval])) / sum(rate(tetcore_analytics_store_batch_rows_count{@i}[$__rate_interval]))", "messages in a batch")
        .column("messages in a batch", vec![field::unit("short"), ("custom.axisPlacement", serde_json::json!("right"))])
}

fn batch_seconds() -> Panel {
    Panel::lines("Time to store a batch", "With its transaction: half, and 99 %.")
        .unit("s")
        .prom("histogram_quantile(0.5, sum by (le) (rate(tetcore_analytics_store_batch_seconds_bucket{@i}[$__rate_interval])))", "half")
        .prom("histogram_quantile(0.99, sum by (le) (rate(tetcore_analytics_store_batch_seconds_bucket{@i}[$__rate_interval])))", "99 %")
}

fn retries() -> Panel {
    Panel::lines(
        "Writes that did not go well",
        "Per minute: batches that were sent again, writers and threads that were given up.",
    )
    .unit("cpm")
    .prom(
        "sum(rate(tetcore_analytics_store_write_retries_total{@i}[$__rate_interval])) * 60",
        "sent again",
    )
    .prom(
        "sum(rate(tetcore_analytics_store_writers_abandoned_total{@i}[$__rate_interval])) * 60",
        "writers given up",
    )
    .prom(
        "sum(rate(tetcore_analytics_database_threads_lost_total{@i}[$__rate_interval])) * 60",
        "threads given up",
    )
}

fn jobs() -> Panel {
    Panel::table("Who carries out which job", "Each job runs on one server, under a lease; one that is over is taken by another server.")
        .size(12, 9)
        .sql(
            "SELECT l.name AS job, coalesce(s.name, l.holder) AS server, l.acquired_at AS since, l.expires_at > now() AS held
FROM leases l LEFT JOIN servers s ON s.id = l.holder ORDER BY l.name LIMIT 100",
        )
}

fn projections() -> Panel {
    Panel::table("Projections", "Whether each is built, and when it was written last.")
        .size(12, 9)
        .sql(
            "SELECT name AS projection, CASE WHEN position IS NULL THEN 'is built' ELSE 'follows' END AS state, updated_at AS written, built_until AS \"built until\", kept_from AS \"kept from\"
FROM projections ORDER BY name LIMIT 100",
        )
}

fn runs() -> Panel {
    Panel::lines("Runs of jobs that failed", "Per minute, by job.")
        .unit("cpm")
        .prom("sum by (job_name) (rate(tetcore_analytics_job_runs_total{@i, result!=\"ok\"}[$__rate_interval])) * 60 > 0", "{{job_name}}")
}

fn late() -> Panel {
    Panel::lines(
        "Since the last run that succeeded",
        "By job, on the server that has it.",
    )
    .unit("s")
    .prom(
        "time() - max by (job_name) (tetcore_analytics_job_last_success_timestamp_seconds{@i} > 0)",
        "{{job_name}}",
    )
}

fn job_seconds() -> Panel {
    Panel::lines("Time of a run", "By job: 99 % of the runs took less.")
        .unit("s")
        .prom("histogram_quantile(0.99, sum by (le, job_name) (rate(tetcore_analytics_job_run_seconds_bucket{@i}[$__rate_interval])))", "{{job_name}}")
}

fn job_errors() -> Panel {
    Panel::lines("Errors of jobs", "Per minute, by job and kind.")
        .unit("cpm")
        .prom("sum by (job_name, kind) (rate(tetcore_analytics_job_errors_total{@i}[$__rate_interval])) * 60 > 0", "{{job_name}}: {{kind}}")
}

fn held() -> Panel {
    Panel::lines("Leases by server", "How many jobs each server carries out.").prom(
        "sum by (instance) (tetcore_analytics_cluster_lease_held{@i})",
        "{{instance}}",
    )
}

fn retention() -> Panel {
    Panel::lines(
        "Purge",
        "Partitions that were purged, and runs that failed, in an hour.",
    )
    .prom(
        "sum(increase(tetcore_analytics_retention_purged_partitions_total{@i}[1h]))",
        "partitions",
    )
    .prom(
        "sum(increase(tetcore_analytics_retention_failures_total{@i}[1h]))",
        "failed",
    )
}

fn partitions() -> Panel {
    Panel::lines("Partitions", "Of the messages, by whether they expire; messages outside of all partitions slow queries down.")
        .prom("max by (kept) (tetcore_analytics_retention_partitions{@i})", "{{kept}}")
        .prom("max(tetcore_analytics_retention_stray_messages{@i})", "messages outside")
}

fn lost() -> Panel {
    Panel::bars(
        "Messages lost",
        "What the servers received and did not keep, by hour and reason.",
    )
    .hourly()
    .sql(
        "SELECT hour AS time, reason AS metric, sum(messages) AS messages FROM server_losses
WHERE $__timeFilter(hour) GROUP BY 1, 2 ORDER BY 1",
    )
}
