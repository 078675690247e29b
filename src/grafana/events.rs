//! *Events and jobs*: what runtimes and services say, how their jobs go, and whether they are alive.

use sha2::{Digest, Sha256};

use super::dashboard::Dashboard;
use super::panel::Panel;
use super::variable::{Annotation, Variable};
use super::{field, link};

/// The services that have jobs or send heartbeats.
const SERVICES: &str = "SELECT service AS __value FROM services UNION SELECT DISTINCT service_id FROM job_hours WHERE hour > now() - interval '7 days' ORDER BY 1 LIMIT 1000";

/// Filter of events by the name that is typed.
const NAMED: &str = "('' = ${event:sqlstring} OR name = ${event:sqlstring})";

/// Bytes of the digest of a service in the identity of its dashboard.
const DIGEST_BYTES: usize = 8;

pub(super) fn dashboard(server_url: &str) -> Dashboard {
    Dashboard {
        uid: "tetcore-events".to_owned(),
        title: "Events and jobs".to_owned(),
        description: "Structured events of runtimes and services, the jobs of services, whether these are alive, and where events are sent on.",
        range: "6h",
        refresh: "1m",
        variables: vec![
            Variable::several("service", "Service", SERVICES),
            Variable::text("event", "Name of events"),
            Variable::server(server_url),
        ],
        annotations: vec![service_changes(), Annotation::benchmark_phases()],
        panels: vec![
            services(),
            Panel::row("Jobs"),
            jobs(),
            failures(),
            durations(),
            errors(),
            jobs_table(),
            Panel::row("Events"),
            events(),
            names(),
            newest(&format!(
                "WHERE severity IN ('warn', 'error', 'fatal') AND {NAMED} AND "
            )),
            Panel::row("Sent on"),
            transports(),
        ],
    }
}

/// For one service.
pub(super) fn of_service(server_url: &str, service: &str) -> Dashboard {
    let digest = Sha256::digest(service);
    let digest: String = digest
        .iter()
        .take(DIGEST_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Dashboard {
        uid: format!("tetcore-service-{digest}"),
        title: format!("Service {service}"),
        description: "One service: whether it is alive, how its jobs go, and the events that it posts.",
        range: "24h",
        refresh: "30s",
        variables: vec![
            Variable::constant("service", service),
            Variable::server(server_url),
        ],
        annotations: vec![service_changes(), Annotation::own_outages()],
        panels: vec![
            services(),
            states(),
            heartbeats(),
            jobs(),
            failures(),
            durations(),
            errors(),
            jobs_table(),
            newest("WHERE source = ${service:sqlstring} AND "),
        ],
    }
}

fn service_changes() -> Annotation {
    Annotation {
        name: "Changes of services",
        color: "yellow",
        sql: "SELECT changed_at AS time, concat_ws(' ', name, from_state, 'to', to_state || ':', reason) AS text, to_state AS tags
FROM status_changes WHERE $__timeFilter(changed_at) AND subject = 'service'
  AND ('*' IN (${service:sqlstring}) OR name IN (${service:sqlstring})) ORDER BY 1 LIMIT 1000"
            .to_owned(),
    }
}

fn services() -> Panel {
    Panel::table("Services", "Whether services are alive, by their heartbeats; docs/STATUS.md says what each state means.")
        .size(24, 6)
        .sql(
            "SELECT coalesce(state, 'online') AS state, service, reason, since, last_seen_at AS \"last heartbeat\", interval_s AS \"interval\", jitter_s AS jitter, metrics::text AS reported
FROM services WHERE ('*' IN (${service:sqlstring}) OR service IN (${service:sqlstring}))
ORDER BY coalesce(state, 'online') = 'online', service LIMIT 500",
        )
        .column("state", field::states())
        .column("service", vec![field::links(link::page("Status page", "status"))])
        .column("interval", vec![field::unit("s")])
        .column("jitter", vec![field::unit("s")])
}

fn states() -> Panel {
    Panel::timeline("Status", "Its states over time.").sql(
        "(SELECT @from AS time, to_state AS status FROM status_changes
 WHERE subject = 'service' AND peer_id = '' AND genesis_hash = '' AND name = ${service:sqlstring} AND changed_at < $__timeFrom()
 ORDER BY id DESC LIMIT 1)
UNION ALL
(SELECT changed_at, to_state FROM status_changes
 WHERE subject = 'service' AND peer_id = '' AND genesis_hash = '' AND name = ${service:sqlstring} AND $__timeFilter(changed_at) ORDER BY id LIMIT 5000)
ORDER BY 1",
    )
}

fn heartbeats() -> Panel {
    Panel::bars("Heartbeats", "How many arrived.").size(24, 6).sql(
        "SELECT $__timeGroupAlias(created_at, $__interval), count(*) AS heartbeats
FROM service_heartbeats WHERE service = ${service:sqlstring} AND $__timeFilter(created_at) GROUP BY 1 ORDER BY 1",
    )
}

/// Filter of the hours of jobs by what is chosen.
const JOBS: &str = "$__timeFilter(hour) AND ('*' IN (${service:sqlstring}) OR service_id IN (${service:sqlstring}))";

fn jobs() -> Panel {
    Panel::bars("Runs of jobs", "How many began, ended well and failed, by hour.")
        .hourly()
        .sql(&format!(
            "SELECT hour AS time, sum(finished) AS finished, sum(failed) AS failed, greatest(0, sum(started) - sum(finished) - sum(failed)) AS \"not ended in this hour\"
FROM job_hours WHERE {JOBS} GROUP BY 1 ORDER BY 1"
        ))
        .column("finished", vec![field::color("green")])
        .column("failed", vec![field::color("red")])
}

fn failures() -> Panel {
    Panel::lines("Share of failures", "Of the runs that ended in an hour, those that failed, by service.")
        .hourly()
        .unit("percentunit")
        .sql(&format!(
            "SELECT hour AS time, service_id AS metric, sum(failed) / nullif(sum(finished) + sum(failed), 0) AS share
FROM job_hours WHERE {JOBS} GROUP BY 1, 2 ORDER BY 1"
        ))
}

fn durations() -> Panel {
    Panel::lines("How long jobs took", "Half, 95 % and 99 % of the runs of an hour took less, at most 6 % off.")
        .hourly()
        .unit("ns")
        .sql(&format!(
            "WITH sums AS (
    SELECT hour, bucket, sum(n) AS n FROM job_hours CROSS JOIN LATERAL unnest(duration_buckets, duration_counts) AS h (bucket, n)
    WHERE {JOBS} GROUP BY 1, 2
), ranks AS (
    SELECT hour, bucket, sum(n) OVER (PARTITION BY hour ORDER BY bucket) AS up_to, sum(n) OVER (PARTITION BY hour) AS total FROM sums
)
SELECT hour AS time,
       (telemetry_span_bounds())[least(656, min(bucket) FILTER (WHERE up_to >= 0.5 * total) + 1)] AS \"half\",
       (telemetry_span_bounds())[least(656, min(bucket) FILTER (WHERE up_to >= 0.95 * total) + 1)] AS \"95 %\",
       (telemetry_span_bounds())[least(656, min(bucket) FILTER (WHERE up_to >= 0.99 * total) + 1)] AS \"99 %\"
FROM ranks GROUP BY 1 ORDER BY 1"
        ))
}

fn errors() -> Panel {
    Panel::bars("Failures by error", "By the text that job.failed gives, by hour.")
        .hourly()
        .sql(&format!(
            "SELECT hour AS time, e.key AS metric, sum(e.value::bigint) AS failures
FROM job_hours CROSS JOIN LATERAL jsonb_each_text(errors) AS e (key, value) WHERE {JOBS} GROUP BY 1, 2 ORDER BY 1"
        ))
}

fn jobs_table() -> Panel {
    Panel::table("Jobs", "Each job of the range, those that fail most first.")
        .size(24, 8)
        .sql(&format!(
            "SELECT service_id AS service, job_id AS job, sum(started) AS started, sum(finished) AS finished, sum(failed) AS failed,
       sum(failed) / nullif(sum(finished) + sum(failed), 0) AS share, max(duration_max_ms) AS longest, max(last_at) AS last, max(failed_at) AS \"last failure\"
FROM job_hours WHERE {JOBS} GROUP BY 1, 2 ORDER BY failed DESC, started DESC LIMIT 200"
        ))
        .column("share", vec![field::unit("percentunit")])
        .column("longest", vec![field::unit("ms")])
        .column("failed", field::bad_from(1.0, "red"))
        .column("service", vec![field::links(link::page("Events page", "events"))])
}

fn events() -> Panel {
    Panel::bars("Events by severity", "How many arrived.").sql(&format!(
        "SELECT $__timeGroupAlias(received_at, $__interval), severity AS metric, count(*) AS events
FROM events WHERE $__timeFilter(received_at) AND {NAMED} GROUP BY 1, 2 ORDER BY 1"
    ))
}

fn names() -> Panel {
    Panel::table("Events by name", "The most frequent of the range.")
        .size(12, 8)
        .sql(&format!(
            "SELECT coalesce(name, '(none)') AS name, count(*) AS events, count(*) FILTER (WHERE severity IN ('warn', 'error', 'fatal')) AS \"warn and graver\", max(received_at) AS last
FROM events WHERE $__timeFilter(received_at) AND {NAMED} GROUP BY 1 ORDER BY 2 DESC LIMIT 100"
        ))
        .column("name", vec![field::links(link::page("Events page", "events"))])
}

/// The newest events; `filter` begins with WHERE and ends with AND.
fn newest(filter: &str) -> Panel {
    Panel::table("Newest events", "The newest 200 of the range; for all of them: those of warn and graver.")
        .size(24, 10)
        .sql(&format!(
            "SELECT received_at AS time, severity, name, source, chain, data::text AS event, peer_id, genesis_hash
FROM events {filter}$__timeFilter(received_at) ORDER BY received_at DESC LIMIT 200"
        ))
        .column("severity", field::severities())
        .column("source", vec![field::links(link::node())])
        .column("event", vec![field::width(700)])
        .column("peer_id", vec![field::hidden()])
        .column("genesis_hash", vec![field::hidden()])
}

fn transports() -> Panel {
    Panel::table("Transports", "Where events are sent on, and how that goes; docs/TRANSPORTS.md.")
        .size(24, 6)
        .sql(
            "SELECT name AS transport, sent, failed, dead, dropped, pending, pending_bytes AS \"pending bytes\", oldest_pending_at AS \"oldest pending\", sent_at AS \"last sent\", error, error_at AS \"error at\"
FROM event_transports ORDER BY name LIMIT 100",
        )
        .column("pending bytes", vec![field::unit("bytes")])
        .column("dead", field::bad_from(1.0, "orange"))
        .column("dropped", field::bad_from(1.0, "red"))
        .column("error", vec![field::width(400)])
}
