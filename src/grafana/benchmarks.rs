//! *Benchmarks and profiling*: runs with their phases, and how long spans took meanwhile.

use super::dashboard::Dashboard;
use super::panel::Panel;
use super::variable::{Annotation, CHAINS, NODES, Variable};
use super::{field, link};

/// Targets of the spans of two days.
const TARGETS: &str =
    "SELECT DISTINCT target AS __value, coalesce(nullif(target, ''), '(none)') AS __text
FROM span_hours WHERE hour > now() - interval '2 days' ORDER BY 1 LIMIT 500";

/// Filter by what is chosen.
const CHOSEN: &str = "@chains AND ('*' IN (${node:sqlstring}) OR peer_id IN (${node:sqlstring})) AND ('*' IN (${target:sqlstring}) OR target IN (${target:sqlstring}))";

pub(super) fn dashboard(server_url: &str) -> Dashboard {
    Dashboard {
        uid: "tetcore-benchmarks".to_owned(),
        title: "Benchmarks and profiling".to_owned(),
        description: "Benchmark runs and their phases, beside the time that spans of the nodes took (tracing.profiling, by hours).",
        range: "24h",
        refresh: "5m",
        variables: vec![
            Variable::several("chain", "Chain", CHAINS),
            Variable::several("node", "Node", NODES),
            Variable::several("target", "Target", TARGETS),
            Variable::server(server_url),
        ],
        annotations: vec![Annotation::benchmark_phases(), Annotation::own_outages()],
        panels: vec![
            runs(),
            phases(),
            hosts(),
            time_in_spans(),
            quantiles(),
            costliest(),
        ],
    }
}

fn runs() -> Panel {
    Panel::table("Runs", "Benchmark runs, the newest first, whatever the range; a click on the number leads to the time of the run.")
        .size(24, 7)
        .sql(
            "SELECT b.id AS run, b.description, b.ts_start AS began, b.ts_end AS ended, extract(epoch FROM b.ts_end - b.ts_start) AS took, h.description AS host,
       (extract(epoch FROM b.ts_start) * 1000)::bigint AS from_ms, (extract(epoch FROM b.ts_end) * 1000)::bigint AS until_ms
FROM benchmarks b LEFT JOIN host_systems h ON h.id = b.host_system_id ORDER BY b.ts_start DESC NULLS LAST LIMIT 100",
        )
        .column("run", vec![field::links(link::benchmark()), field::width(80)])
        .column("took", vec![field::unit("s")])
        .column("from_ms", vec![field::hidden()])
        .column("until_ms", vec![field::hidden()])
}

fn phases() -> Panel {
    Panel::table("Phases", "What happened to the phases of runs in the range.")
        .size(12, 7)
        .sql(
            "SELECT e.created_at AS time, e.benchmark_id AS run, e.name, e.phase FROM benchmark_events e
WHERE $__timeFilter(e.created_at) ORDER BY e.created_at DESC, e.id DESC LIMIT 200",
        )
}

fn hosts() -> Panel {
    Panel::table("Machines under test", "As they were entered.")
        .size(12, 7)
        .sql(
            "SELECT id, description, os, cpu_qty AS cpus, cpu_clock * 1e6 AS clock, ram_mb AS memory, disk_info AS disk
FROM host_systems ORDER BY id DESC LIMIT 100",
        )
        .column("clock", vec![field::unit("hertz")])
        .column("memory", vec![field::unit("mbytes")])
}

fn time_in_spans() -> Panel {
    Panel::stack("Time in spans", "What the spans of each target took in each hour, all together.")
        .hourly()
        .unit("s")
        .sql(&format!(
            "SELECT hour AS time, coalesce(nullif(target, ''), '(none)') AS metric, sum(total_ns) / 1e9 AS total
FROM span_hours WHERE $__timeFilter(hour) AND {CHOSEN} GROUP BY 1, 2 ORDER BY 1"
        ))
}

fn quantiles() -> Panel {
    Panel::lines("How long spans took", "Of all that are chosen: half, 95 % and 99 % of them took less, at most 6 % off.")
        .hourly()
        .unit("ns")
        .sql(&format!(
            "WITH sums AS (
    SELECT hour, bucket, sum(n) AS n FROM span_hours CROSS JOIN LATERAL unnest(buckets, counts) AS h (bucket, n)
    WHERE $__timeFilter(hour) AND {CHOSEN} GROUP BY 1, 2
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

fn costliest() -> Panel {
    Panel::table("Costliest spans", "By the time that they took all together in the hours of the range; the first 100.")
        .size(24, 10)
        .sql(&format!(
            "SELECT nullif(target, '') AS target, nullif(name, '') AS name, sum(count)::bigint AS spans, sum(total_ns) AS total,
       sum(total_ns) / sum(count) AS mean, min(min_ns) AS shortest, max(max_ns) AS longest
FROM span_hours WHERE $__timeFilter(hour) AND {CHOSEN} GROUP BY 1, 2 ORDER BY total DESC LIMIT 100"
        ))
        .column("total", vec![field::unit("ns")])
        .column("mean", vec![field::unit("ns")])
        .column("shortest", vec![field::unit("ns")])
        .column("longest", vec![field::unit("ns")])
        .column("target", vec![field::links(link::page("Profiling page", "profiling"))])
}
